// Concurrent prompts with fetch, then one prompt that contains their completion order; prints all.
// argv: distinct|identical|burst COUNT [prompt prefix]. `burst` asks COUNT distinct prompts and prints who got what.
// With `identical`, which caller got which answer goes to stderr, since nothing on the wire decides it.
const [kind, count, prefix = ''] = process.argv.slice(2);
const url = `${process.env.OPENAI_BASE_URL ?? 'https://api.openai.com/v1'}/chat/completions`;

const ask = async (prompt) => {
  const body = JSON.stringify({ model: 'gpt-4o-mini', messages: [{ role: 'user', content: prompt }] });
  const answer = await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  return (await answer.json()).choices[0].message.content;
};

const order = [];
const answers = [];
const one = async (caller) => {
  const answer = await ask(prefix + (kind === 'identical' ? 'Pick a number.' : `Pick number ${caller}.`));
  order.push(kind === 'identical' ? answer : String(caller));
  answers.push(kind === 'identical' ? answer : `${caller}: ${answer}`);
  console.error(`${caller}: ${answer}`);
};

await Promise.all(Array.from({ length: Number(count) }, (_, caller) => one(caller)));
console.log((kind === 'burst' ? answers.sort() : answers).join('\n'));
if (kind !== 'burst') console.log(await ask(`They came in this order: ${order.join(' | ')}`));
