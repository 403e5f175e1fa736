// Node's own fetch, against Anthropic Messages. argv: plain|stream [prompt].
const [mode, prompt = 'Name three rivers.'] = process.argv.slice(2);
const url = `${process.env.ANTHROPIC_BASE_URL ?? 'https://api.anthropic.com'}/v1/messages`;
const body = { model: 'claude-sonnet-5-5', max_tokens: 200, messages: [{ role: 'user', content: prompt }], stream: mode === 'stream' };
const answer = await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
if (!answer.ok) throw new Error(`status ${answer.status}`);
if (mode === 'plain') {
  console.log((await answer.json()).content[0].text);
} else {
  let rest = '';
  for await (const chunk of answer.body.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop();
    for (const line of lines) {
      const event = line.startsWith('data: ') ? JSON.parse(line.slice(6)) : {};
      if (event.type === 'content_block_delta') process.stdout.write(event.delta.text);
    }
  }
  console.log();
}
