// A cpio archive as the kernel unpacks it: the "newc" format of Documentation/driver-api/early-userspace/buffer-format.
import { closeSync, openSync, readFileSync, statSync, writeSync } from "node:fs";
import { dirname } from "node:path";

const FILE = 0o100000;
const DIRECTORY = 0o040000;
const PERMISSIONS = 0o7777;

/** Written from its first entry to its last, then {@link Archive.end}. */
export class Archive {
  #fd;
  #entries = 0;
  /** Names of directories that it has. */
  #directories = new Set();
  /** Numbers in the archive of the host's files that have several names there. */
  #linked = new Map();

  constructor(path) {
    this.#fd = openSync(path, "w");
  }

  directory(name, mode = 0o755) {
    if (this.#directories.has(name)) return;
    this.#directories.add(name);
    this.#write(name, DIRECTORY | mode);
  }

  text(name, content) {
    this.#write(name, FILE | 0o644, { content: Buffer.from(content) });
  }

  /** One of the host's files. */
  file(name, path, mode = statSync(path).mode & PERMISSIONS) {
    this.#write(name, FILE | mode, { content: readFileSync(path), mtime: statSync(path).mtimeMs });
  }

  /** One of the host's files with the directories above it, `name` ending in `path`; hard links stay what they are. */
  fileAt(name, path) {
    const above = (of) => (of === "/" ? [] : [...above(dirname(of)), of]);
    const prefix = name.slice(0, name.length - path.length);
    for (const each of above(dirname(path))) this.directory(prefix + each, statSync(each).mode & PERMISSIONS);
    const { mode, nlink, dev, ino, mtimeMs: mtime } = statSync(path);
    if (nlink === 1) return this.file(name, path);
    // The first name brings the content.
    const key = `${dev}:${ino}`;
    const known = this.#linked.get(key);
    const number = known ?? this.#entries + 1;
    this.#linked.set(key, number);
    const content = known === undefined ? readFileSync(path) : Buffer.alloc(0);
    this.#write(name, FILE | (mode & PERMISSIONS), { content, nlink, number, mtime });
  }

  end() {
    this.#write("TRAILER!!!", 0);
    closeSync(this.#fd);
  }

  #write(name, mode, { content = Buffer.alloc(0), nlink = 1, number = this.#entries + 1, mtime = 0 } = {}) {
    this.#entries += 1;
    const hex = (value) => value.toString(16).padStart(8, "0");
    const fields = [
      number,
      mode,
      0,
      0,
      nlink,
      Math.floor(mtime / 1000),
      content.length,
      0,
      0,
      0,
      0,
      name.length + 1,
      0,
    ];
    const head = Buffer.from(`070701${fields.map(hex).join("")}${name}\0`);
    for (const part of [head, content]) {
      for (let at = 0; at < part.length; ) at += writeSync(this.#fd, part, at);
      writeSync(this.#fd, Buffer.alloc((4 - (part.length % 4)) % 4));
    }
  }
}
