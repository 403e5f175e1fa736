// The `openai` SDK, Chat Completions. argv: plain|stream [prompt].
import OpenAI from 'openai';

const [mode, prompt = 'Name three rivers.'] = process.argv.slice(2);
const client = new OpenAI();
const request = { model: 'gpt-4o-mini', messages: [{ role: 'user', content: prompt }] };
if (mode === 'plain') {
  console.log((await client.chat.completions.create(request)).choices[0].message.content);
} else {
  for await (const chunk of await client.chat.completions.create({ ...request, stream: true })) {
    process.stdout.write(chunk.choices[0]?.delta?.content ?? '');
  }
  console.log();
}
