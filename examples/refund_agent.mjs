// The refund agent in Node, on the real `openai` SDK, with a letter to the customer written by `@anthropic-ai/sdk`.
//
//   (cd examples && npm install)
//   python examples/model_server.py &
//   export OPENAI_BASE_URL=http://127.0.0.1:8765/v1 ANTHROPIC_BASE_URL=http://127.0.0.1:8765
//   export OPENAI_API_KEY=none ANTHROPIC_API_KEY=none
//   playhead record --name refund-node -- node examples/refund_agent.mjs
//
// Nothing in it knows of Playhead. Its answers stream, and the calls of one turn run at the same time.
import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';

const SHOP = process.env.SHOP_URL ?? 'http://127.0.0.1:8765/shop';
const WISH = 'My teapot (order 1001) came broken and order 1003 never came. I want my money back for these and for 1002.';
const order = { order: { type: 'string', description: 'Four digits.' } };

const tool = (name, description, properties) => ({
  type: 'function',
  function: {
    name,
    description,
    parameters: { type: 'object', properties, required: Object.keys(properties), additionalProperties: false },
  },
});

const TOOLS = [
  tool('look_up_order', 'Say what was ordered and whether it may be refunded.', order),
  tool('refund', 'Pay an order back. Cannot be undone.', { ...order, reason: { type: 'string' } }),
];

// Ask the shop: GET, or POST with a body. Gives the answer's JSON as text.
const shop = async (path, body) => {
  const post = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
  const answer = await fetch(SHOP + path, body ? post : {});
  if (!answer.ok) throw new Error(`the shop said ${answer.status}`);
  return answer.text();
};

const call = ({ name, arguments: text }) => {
  const args = JSON.parse(text);
  return name === 'look_up_order' ? shop(`/orders/${args.order}`) : shop('/refunds', args);
};

// One turn of the model, printed as it streams; the assistant's message.
const ask = async (client, messages) => {
  const stream = client.chat.completions.stream({ model: 'gpt-5.4-mini', messages, tools: TOOLS });
  stream.on('content', (text) => process.stdout.write(text));
  return (await stream.finalChatCompletion()).choices[0].message;
};

const letter = async (report) => {
  const client = new Anthropic();
  const request = {
    model: 'claude-sonnet-5-5',
    max_tokens: 300,
    messages: [{ role: 'user', content: `Write this to the customer: ${report}` }],
  };
  for await (const event of client.messages.stream(request)) {
    if (event.type === 'content_block_delta') process.stdout.write(event.delta.text);
  }
  console.log();
};

const client = new OpenAI();
const wish = process.argv.slice(2).join(' ') || WISH;
const messages = [
  { role: 'system', content: "You refund what the shop's rules allow, and nothing else." },
  { role: 'user', content: wish },
];
console.log(`customer: ${wish}`);
for (let turn = 0; ; turn += 1) {
  if (turn === 8) throw new Error('the agent did not come to an end within 8 turns');
  const { content, tool_calls: calls } = await ask(client, messages);
  messages.push({ role: 'assistant', content, ...(calls?.length ? { tool_calls: calls } : {}) });
  if (!calls?.length) {
    console.log();
    await letter(content);
    break;
  }
  const results = await Promise.all(calls.map((made) => call(made.function)));
  calls.forEach((made, n) => {
    console.log(`  ${made.function.name}(${made.function.arguments}) -> ${results[n]}`);
    messages.push({ role: 'tool', tool_call_id: made.id, content: results[n] });
  });
}
