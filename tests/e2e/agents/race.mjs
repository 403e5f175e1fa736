// Calls of which the first answer wins: `abort` asks three and gives up the others, `hedge` asks a second time when
// no answer has come after a while. Prints who won, and what it then is told.
const url = `${process.env.OPENAI_BASE_URL ?? 'https://api.openai.com/v1'}/chat/completions`;

const ask = async (prompt, signal) => {
  const body = JSON.stringify({ model: 'gpt-4o-mini', messages: [{ role: 'user', content: prompt }] });
  const answer = await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body, signal });
  return (await answer.json()).choices[0].message.content;
};

const after = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const others = new AbortController();
const calls =
  process.argv[2] === 'abort'
    ? [0, 1, 2].map((caller) => ask(`{{delay=${0.1 + 30 * caller}}} Caller ${caller}.`, others.signal))
    : [ask('{{delay=0.6}} The first.'), after(300).then(() => (won ? '' : ask('{{delay=0.6}} The second.')))];
let won = '';
won = await Promise.any(calls);
others.abort();
await Promise.allSettled(calls);
console.log(await ask(`The winner: ${won}`));
