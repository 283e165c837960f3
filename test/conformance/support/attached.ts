import { findPlugin } from "../../../src/cni/execute.ts";
import type { JsonObject } from "../../../src/cni/json.ts";
import type { Pod } from "../../../src/testbed/pod.ts";
import { type Command, type Outcome, printedObject, requireSuccess, shown } from "./outcome.ts";
import type { Subject } from "./subject.ts";
import type { Version } from "./versions.ts";
import { must } from "./violation.ts";

/** How a container is attached. */
export interface AttachedOptions {
  /** CNI_CONTAINERID; a new one without it. */
  readonly containerID?: string;
  /** CNI_IFNAME; `eth0` without it. */
  readonly ifname?: string;
  /** Of the protocol; the profile's without it. */
  readonly version?: Version;
  /** A container that is there already, for a second interface. */
  readonly in?: Attached;
}

/** What a call has that differs from the ordinary. */
export interface CallOptions {
  readonly title?: string;
  /** Variables beside the usual ones; an undefined one is left out. */
  readonly variables?: Readonly<Record<string, string | undefined>>;
  /** Keys of the configuration; an undefined one is left out. */
  readonly conf?: JsonObject;
}

/** A container, with or without an attachment by the plugin under test: what a runtime knows of it. */
export class Attached implements AsyncDisposable {
  /** What the plugins before ours gave; undefined for the first of a list. */
  before: JsonObject | undefined;
  /** What ADD gave. */
  result: JsonObject | undefined;
  /** Whether there may be something to remove. */
  #dirty = false;

  private constructor(
    private readonly subject: Subject,
    readonly pod: Pod,
    private readonly ownsPod: boolean,
    readonly containerID: string,
    readonly ifname: string,
    readonly version: Version,
  ) {}

  /** As {@link Subject.attached}, which is what to call. */
  static async create(subject: Subject, name: string, options: AttachedOptions): Promise<Attached> {
    await using undo = new AsyncDisposableStack();
    const pod = options.in?.pod ?? undo.use(await subject.node.addPod(name));
    const containerID = options.containerID ?? options.in?.containerID ?? name;
    const { ifname = "eth0", version = subject.profile.version } = options;
    const created = new Attached(subject, pod, options.in === undefined, containerID, ifname, version);
    for (const plugin of subject.before) {
      const outcome = await created.#callBefore("ADD", plugin);
      if (outcome.status !== 0) throw new Error(`a plugin before the one under test failed. ${shown(outcome)}`);
      created.before = printedObject(outcome);
    }
    undo.move();
    return created;
  }

  /** ADD; its result is kept when it succeeds. */
  async add(options: CallOptions = {}): Promise<Outcome> {
    const outcome = await this.call("ADD", { ...options, conf: { prevResult: this.before, ...options.conf } });
    if (outcome.status === 0) this.result = printedObject(outcome);
    return outcome;
  }

  /** The result of an ADD that must succeed. @throws Violation. */
  async added(options: CallOptions = {}): Promise<JsonObject> {
    requireSuccess(await this.add(options));
    must(this.result !== undefined, "ADD should give a result");
    return this.result;
  }

  /** DEL, with the result of ADD as `prevResult`. */
  async del(options: CallOptions = {}): Promise<Outcome> {
    const conf = { prevResult: this.result ?? this.before, ...options.conf };
    const outcome = await this.call("DEL", { ...options, conf });
    if (outcome.status === 0) this.#dirty = false;
    return outcome;
  }

  /** CHECK, with the result of ADD as `prevResult`. */
  check(options: CallOptions = {}): Promise<Outcome> {
    return this.call("CHECK", { ...options, conf: { prevResult: this.result, ...options.conf } });
  }

  /** Any call for this container. */
  call(command: Command, { title, variables, conf }: CallOptions = {}): Promise<Outcome> {
    if (command === "ADD") this.#dirty = true;
    return this.subject.call({
      command,
      ...(title === undefined ? {} : { title }),
      variables: { ...this.variables, ...variables },
      stdin: this.subject.conf(conf, this.version),
    });
  }

  /** What a runtime sets for every call for this container. */
  get variables(): Readonly<Record<string, string>> {
    return {
      CNI_CONTAINERID: this.containerID,
      CNI_NETNS: this.pod.netnsPath,
      CNI_IFNAME: this.ifname,
      CNI_PATH: this.subject.path,
    };
  }

  /** Removes the namespace, as if the container had died. */
  async vanish(): Promise<void> {
    await this.pod.remove();
  }

  /** DEL of all plugins, and the namespace away. What DEL says here is judged elsewhere. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#dirty) await this.del({ title: "DEL at the end of a test" });
    for (const plugin of this.subject.before.toReversed()) await this.#callBefore("DEL", plugin);
    if (this.ownsPod) await this.pod.remove();
  }

  #callBefore(command: "ADD" | "DEL", plugin: JsonObject): Promise<Outcome> {
    const prevResult = command === "ADD" ? this.before : (this.result ?? this.before);
    return this.subject.run(findPlugin(String(plugin.type), this.subject.profile.path), {
      command,
      title: `${command} of ${plugin.type}`,
      variables: this.variables,
      stdin: this.subject.derived(plugin, { prevResult }, this.version),
    });
  }
}
