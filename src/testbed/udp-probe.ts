// A program of its own, run by Node with type stripping: no imports of ours, only syntax that can be erased.
//   udp-probe.ts echo PORT                 answers every datagram; writes "ready"
//   udp-probe.ts send ADDRESS PORT RATE    sends RATE datagrams a second, whatever happens; writes "ready", and for each
//                                          line "ID N" on standard input, as soon as N more were answered, "ID COUNTS"
// Both end with their standard input.
import { createSocket } from "node:dgram";
import { createInterface } from "node:readline";

const [mode, ...args] = process.argv.slice(2);
if (mode === "echo") echo(Number(args[0]));
else if (mode === "send") send(args[0] ?? "", Number(args[1]), Number(args[2]));
else throw new Error(`unknown mode ${mode}`);
createInterface({ input: process.stdin }).on("close", () => process.exit(0));

function echo(port: number): void {
  const socket = createSocket({ type: "udp6" });
  socket.on("message", (message, from) => socket.send(message, from.port, from.address, () => undefined));
  socket.on("error", () => undefined);
  socket.bind(port, "::", () => process.stdout.write("ready\n"));
}

function send(address: string, port: number, rate: number): void {
  const socket = createSocket({ type: address.includes(":") ? "udp6" : "udp4" });
  const answered = new Set<number>();
  const times: number[] = [];
  const refused: Record<string, number> = {};
  const questions = new Set<() => void>();
  let [tried, sent, lastAnswer, longestGap] = [0, 0, performance.now(), 0];

  socket.on("error", () => undefined);
  socket.on("message", (message) => {
    const now = performance.now();
    longestGap = Math.max(longestGap, now - lastAnswer);
    lastAnswer = now;
    answered.add(message.readUInt32BE(0));
    for (const question of questions) question();
  });
  socket.bind(0, () => {
    process.stdout.write("ready\n");
    const start = performance.now();
    setInterval(() => {
      while (tried < ((performance.now() - start) / 1000) * rate) {
        const message = Buffer.alloc(64, PAYLOAD);
        message.writeUInt32BE(tried, 0);
        tried += 1;
        times.push(performance.now());
        socket.send(message, port, address, (error) => {
          if (error === null) sent += 1;
          else refused[errnoOf(error)] = (refused[errnoOf(error)] ?? 0) + 1;
        });
      }
    }, 1000 / rate);
  });
  createInterface({ input: process.stdin }).on("line", (line) => {
    const [id, more] = line.split(" ");
    const wanted = answered.size + Number(more);
    const question = () => {
      if (answered.size < wanted) return;
      questions.delete(question);
      const silence = performance.now() - lastAnswer;
      const due = performance.now() - 1000;
      const counts = {
        tried,
        sent,
        answered: answered.size,
        lost: times.filter((time, index) => time < due && !answered.has(index)).length,
        refused,
        silence,
        longestGap: Math.max(longestGap, silence),
      };
      process.stdout.write(`${id} ${JSON.stringify(counts)}\n`);
    };
    questions.add(question);
    question();
  });
}

/** What every datagram is filled with: a capture that carries it has seen plain text. */
const PAYLOAD = "podvpn-probe ";

function errnoOf(error: Error): string {
  return "code" in error ? String(error.code) : error.message;
}
