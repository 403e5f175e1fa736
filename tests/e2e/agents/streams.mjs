// Three streams side by side, whose pieces take turns or (argv: together) come at the same moment; prints them as they come,
// then asks once more with all of that.
const isTogether = process.argv[2] === 'together';
const url = `${process.env.OPENAI_BASE_URL ?? 'https://api.openai.com/v1'}/chat/completions`;

const post = (content, stream) => {
  const body = JSON.stringify({ model: 'gpt-4o-mini', stream, messages: [{ role: 'user', content }] });
  return fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
};

const seen = [];
const read = async (caller) => {
  const pace = isTogether ? '{{chunk_delay=0.01}}' : `{{delay=${0.1 + 0.05 * caller} chunk_delay=0.15}}`;
  const answer = await post(`${pace} Caller ${caller}.`, true);
  const pieces = answer.body.pipeThrough(new TextDecoderStream());
  for await (const piece of pieces) seen.push(`${caller}: ${/"content": ?"([^"]*)"/.exec(piece)?.[1] ?? ''}`);
};

await Promise.all([0, 1, 2].map(read));
console.log(seen.join('\n'));
console.log((await (await post(seen.join(' | '), false)).json()).choices[0].message.content);
