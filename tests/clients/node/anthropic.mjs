// The `@anthropic-ai/sdk` SDK, Messages. argv: plain|stream [prompt].
import Anthropic from '@anthropic-ai/sdk';

const [mode, prompt = 'Name three rivers.'] = process.argv.slice(2);
const client = new Anthropic();
const request = { model: 'claude-sonnet-5-5', max_tokens: 200, messages: [{ role: 'user', content: prompt }] };
if (mode === 'plain') {
  console.log((await client.messages.create(request)).content[0].text);
} else {
  for await (const event of client.messages.stream(request)) {
    if (event.type === 'content_block_delta') process.stdout.write(event.delta.text);
  }
  console.log();
}
