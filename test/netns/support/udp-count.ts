// A program of its own, run by Node with type stripping: no imports of ours, only syntax that can be erased.
//   udp-count.ts ADDRESS PORT COUNT RATE   sends COUNT datagrams, RATE a second, and writes how many were answered, as
//                                          soon as all are, or when none was for 5 s. Unlike ping(8), which waits two
//                                          round trips for the last: not enough on a busy machine.
import { createSocket } from "node:dgram";

const [address = "", port = "", count = "", rate = ""] = process.argv.slice(2);
const total = Number(count);
const socket = createSocket({ type: address.includes(":") ? "udp6" : "udp4" });
const answered = new Set<number>();
let sent = 0;

const end = (): void => {
  process.stdout.write(`${answered.size}\n`, () => process.exit(0));
};
const silence = setTimeout(end, 5000);
socket.on("error", () => undefined);
socket.on("message", (message) => {
  answered.add(message.readUInt32BE(0));
  silence.refresh();
  if (answered.size === total) end();
});
socket.bind(0, () => {
  const start = performance.now();
  const timer = setInterval(() => {
    while (sent < total && sent < ((performance.now() - start) / 1000) * Number(rate)) {
      const message = Buffer.alloc(64);
      message.writeUInt32BE(sent, 0);
      sent += 1;
      socket.send(message, Number(port), address, () => undefined);
    }
    silence.refresh();
    if (sent === total) clearInterval(timer);
  }, 1);
});
