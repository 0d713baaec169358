// OpenAI's own client for Node, as its users use it; what came of it goes to standard output as JSON.
import OpenAI from "openai";

const client = new OpenAI({ baseURL: process.env.BASE_URL, apiKey: process.env.API_KEY, timeout: 20_000 });
const model = "up/echo";
const said = (content) => [{ role: "user", content }];
const weather = {
  type: "function",
  function: { name: "weather", parameters: { type: "object", properties: { place: { type: "string" } } } },
};

async function whole() {
  const answer = await client.chat.completions.create({ model, messages: said("good morning") });
  return {
    text: answer.choices[0].message.content,
    finish: answer.choices[0].finish_reason,
    twin: answer.choices[0].finishReason,
    tokens: answer.usage.total_tokens === answer.usage.promptTokens + answer.usage.completionTokens,
  };
}

async function streamed() {
  const stream = await client.chat.completions.create({
    model, messages: said("one two three"), stream: true, stream_options: { include_usage: true },
  });
  let text = "";
  let usage = null;
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta?.content ?? "";
    usage = chunk.usage ?? usage;
  }
  return { text, tokens: usage.completion_tokens };
}

async function tools() {
  const messages = said("How is it in Lund?");
  const script = { tool_calls: [{ name: "weather", arguments: '{"place":"Lund"}' }] };
  const runner = client.chat.completions.stream({ model, messages, tools: [weather], script });
  const called = (await runner.finalChatCompletion()).choices[0].message;
  messages.push(called, { role: "tool", tool_call_id: called.tool_calls[0].id, content: "snow" });
  const answer = await client.chat.completions.create({ model, messages, tools: [weather] });
  return { called: called.tool_calls[0].function, text: answer.choices[0].message.content };
}

async function models() {
  const ids = [];
  for await (const each of client.models.list()) ids.push(each.id);
  return { listed: ids.includes(model), one: (await client.models.retrieve(model)).id };
}

async function refused(fields, caller = client) {
  try {
    await caller.chat.completions.create({ model, messages: said("x"), ...fields });
    return null;
  } catch (error) {
    return { kind: error.constructor.name, status: error.status, code: error.code };
  }
}

async function cut() {
  const script = { reply: "never whole", pace_ms: 1, fault: { kind: "cut", after: 2 } };
  let text = "";
  try {
    const stream = await client.chat.completions.create({ model, messages: said("x"), stream: true, script });
    for await (const chunk of stream) text += chunk.choices[0]?.delta?.content ?? "";
  } catch (error) {
    return { text, code: error.code };
  }
  return { text, code: null };
}

async function left() {
  const script = { reply: "word ".repeat(500), pace_ms: 20 };
  const stream = await client.chat.completions.create({ model, messages: said("x"), stream: true, script });
  for await (const chunk of stream) if (chunk.choices[0]?.delta?.content) break;
  return { aborted: stream.controller.signal.aborted };
}

const stranger = new OpenAI({ baseURL: process.env.BASE_URL, apiKey: "tt-nobody-has-this-key" });
const fault = (status) => ({ script: { fault: { kind: "status", status, retry_after: 0 } } });
console.log(JSON.stringify({
  whole: await whole(),
  streamed: await streamed(),
  tools: await tools(),
  models: await models(),
  errors: {
    form: await refused({ temperature: 9 }),
    key: await refused({}, stranger),
    model: await refused({ model: "nonesuch" }),
    limited: await refused(fault(429)),
    broken: await refused(fault(500)),
  },
  cut: await cut(),
  left: await left(),
}));
