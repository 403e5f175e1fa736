// Node clients that meet faults and go on. argv: openai | fetch. Prints what each scenario came to.
import OpenAI from 'openai';

const which = process.argv[2];
const SCENARIOS = [
  ['cut stream', 'stream', '{{cut=3}}'],
  ['cut body', 'plain', '{{cut=1}}'],
  ['cut before the head', 'plain', '{{cut=0}}'],
  ['reset before the head', 'plain', '{{reset=0}}'],
  ['reset mid-stream', 'stream', '{{reset=3}}'],
  ['reset in a body', 'plain', '{{reset=1}}'],
  ['refused', 'refused', ''],
  ['429', 'plain', 'flaky'],
  ['500', 'plain', '{{status=500}}'],
  ['gzip', 'plain', '{{gzip}}'],
  ['end of file', 'stream', '{{close}}'],
  ['timeout before the head', 'timeout', '{{delay=30}}'],
  ['timeout mid-stream', 'timeout', '{{chunk_delay=30}} stream'],
  ['early break', 'break', '{{chunk_delay=30 flowing=4}} one two three four five six seven eight'],
  ['cancel', 'abort', '{{chunk_delay=30}} stream'],
  ['after all that', 'plain', 'fine'],
];
const openai = new OpenAI({ maxRetries: 1 });

function bodyOf(how, prompt) {
  const stream = ['stream', 'break', 'abort'].includes(how) || prompt.includes('stream');
  return { model: 'gpt-4o-mini', messages: [{ role: 'user', content: `${prompt} for node-${which}` }], stream };
}

async function byOpenai(how, prompt, signal, heard) {
  const client = how === 'refused' ? new OpenAI({ maxRetries: 1, baseURL: 'https://refused.example/v1' }) : openai;
  const options = how === 'timeout' ? { timeout: 1500, maxRetries: 0, signal } : { signal };
  const body = bodyOf(how, prompt);
  const answer = await client.chat.completions.create(body, options);
  if (!body.stream) return console.log(answer.choices[0].message.content);
  let taken = 0;
  for await (const chunk of answer) {
    console.log('piece', chunk.choices[0]?.delta.content ?? '');
    heard();
    if (++taken === 3 && how === 'break') break;
  }
  console.log(taken, 'pieces');
}

async function byFetch(how, prompt, signal, heard) {
  const base = how === 'refused' ? 'https://refused.example/v1' : 'https://api.openai.com/v1';
  if (how === 'timeout') signal = AbortSignal.timeout(1500);
  const answer = await fetch(`${base}/chat/completions`, {
    method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(bodyOf(how, prompt)), signal,
  });
  console.log('status', answer.status);
  let taken = 0;
  for await (const piece of answer.body.pipeThrough(new TextDecoderStream())) {
    console.log('piece', piece.slice(0, 40).replaceAll('\n', ' '));
    heard();
    if (++taken === 3 && how === 'break') break;
  }
  console.log(taken, 'pieces');
}

for (const [name, how, prompt] of SCENARIOS) {
  console.log(`== ${name}`);
  const controller = new AbortController();
  // A timeout of the SDK's own ends with the head of the answer.
  const timer = how === 'timeout' && setTimeout(() => controller.abort(), 2000);
  const heard = () => how === 'abort' && setTimeout(() => controller.abort(), 50);
  try {
    await (which === 'openai' ? byOpenai : byFetch)(how, prompt, controller.signal, heard);
  } catch (error) {
    const causes = [];
    for (let e = error; e; e = e.cause) causes.push(`${e.constructor?.name ?? typeof e} ${e.name ?? ''} ${e.code ?? ''}`.trim());
    console.log('caught', causes.join(' < '));
  }
  clearTimeout(timer);
}
