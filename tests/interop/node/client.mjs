// Calls a Meristem server with connect-node and prints what came back; the descriptors come from the server's side.
import { readFileSync } from "node:fs";
import { createFileRegistry, fromBinary, toBinary, toJson } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";

const [url, folder, format] = process.argv.slice(2);
const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, readFileSync(`${folder}/descriptors.bin`)));
const service = registry.getService("interop.quotes.v1.Quotes");
const transport = createConnectTransport({ baseUrl: url, httpVersion: "1.1", useBinaryFormat: format === "proto" });
const client = createClient(service, transport);
const read = (name) => fromBinary(service.method.echo.input, readFileSync(`${folder}/${name}.bin`));

const failure = async (work) => {
  try {
    await work();
    return "no error";
  } catch (error) {
    const found = ConnectError.from(error);
    const details = found.details.map((each) => each.type ?? each.desc?.typeName);
    return { code: Code[found.code], message: found.rawMessage, details };
  }
};

const quote = read("quote");
const reply = await client.echo(quote);
const same = Buffer.compare(toBinary(service.method.echo.output, reply), toBinary(service.method.echo.input, quote)) === 0;
const numbers = [];
for await (const each of client.count({ until: 5n })) numbers.push(Number(each.result));

const token = { headers: { "meristem-token": "partner" } };
async function* quotes(count) {
  for (let each = 0; each < count; each++) yield quote;
}
async function* words() {
  yield { words: "hello" };
}
const collect = async (replies) => {
  for await (const each of replies) return each;
};
const total = await client.total(quotes(7), token);

console.log(JSON.stringify({
  same,
  json: toJson(service.method.echo.output, reply),
  numbers,
  total: String(total.result),
  chat: await failure(() => collect(client.chat(words(), token))),
  fault: await failure(() => client.echo(read("gone"))),
  deadline: await failure(() => client.wait({}, { timeoutMs: 200 })),
  internal: await failure(() => client.internal({})),
}));
