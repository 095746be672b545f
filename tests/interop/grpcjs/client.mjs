// Calls a Meristem server with @grpc/grpc-js and prints what came back; the .proto is what the server's side wrote.
import grpc from "@grpc/grpc-js";
import loader from "@grpc/proto-loader";

const [address, file] = process.argv.slice(2);
const { Quotes } = grpc.loadPackageDefinition(loader.loadSync(file, { longs: String, keepCase: true })).interop.quotes.v1;
const client = new Quotes(address, grpc.credentials.createInsecure());
const times = { until: { seconds: "1893553445" }, length: { seconds: "90" } };
const quote = { hotel_id: "1152921504606846976", city: "Zürich", means: { cash: { coins: ["1", "2"] } }, ...times };

const unary = (method, request, options = {}) =>
  new Promise((resolve) =>
    client[method](request, new grpc.Metadata(), options, (error, reply) =>
      resolve(error ? { code: grpc.status[error.code], message: error.details } : reply),
    ),
  );

const signed = new grpc.Metadata();
signed.set("meristem-token", "partner");
const numbers = [];
for await (const each of client.Count({ until: "5" })) numbers.push(Number(each.result ?? 0));

const total = await new Promise((resolve) => {
  const call = client.Total(signed, (error, reply) => resolve(error ? grpc.status[error.code] : reply.result));
  for (let sent = 0; sent < 3; sent += 1) call.write(quote);
  call.end();
});

const words = [];
const chat = client.Chat(signed);
for (const each of ["one", "two"]) chat.write({ words: each });
chat.end();
for await (const each of chat) words.push(each.result);

const late = await unary("Wait", {}, { deadline: Date.now() + 500 });
const echoed = await unary("Echo", quote);
const gone = await unary("Echo", { ...quote, city: "Gone" });
console.log(JSON.stringify({ city: echoed.city, hotel: echoed.hotel_id, gone, numbers, total, words, late }));
client.close();
