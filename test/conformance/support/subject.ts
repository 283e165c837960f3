import { findPlugin } from "../../../src/cni/execute.ts";
import type { JsonObject } from "../../../src/cni/json.ts";
import type { Node } from "../../../src/testbed/node.ts";
import { ENVIRONMENT } from "../../../src/testbed/place.ts";
import { Testbed } from "../../../src/testbed/testbed.ts";
import { Attached, type AttachedOptions } from "./attached.ts";
import { type Command, type Outcome, printedObject, requireSuccess, shown } from "./outcome.ts";
import type { Profile } from "./profile.ts";
import { Spy } from "./spy.ts";
import { VERSIONS, type Version } from "./versions.ts";
import { must } from "./violation.ts";

/** Milliseconds for one call: far more than any plugin takes, and less than a test has. */
const TIMEOUT = 40_000;

/** One call of a plugin, as a runtime makes it. */
export interface Call {
  /** In words, for messages; the command without it. */
  readonly title?: string;
  /** CNI_COMMAND; undefined leaves it out. */
  readonly command: Command | string | undefined;
  /** All other variables. An undefined one is left out. */
  readonly variables: Readonly<Record<string, string | undefined>>;
  readonly stdin: JsonObject | string;
}

/** The plugin under test on a node of its own, and a runtime that may do everything that no real one does. */
export class Subject implements AsyncDisposable {
  /** All that the plugin has answered so far. */
  readonly outcomes: Outcome[] = [];
  /** The plugin's executable. */
  readonly file: string;
  readonly spy: Spy;
  #attached = 0;
  #shared: Promise<Attached> | undefined;
  #warm: Promise<void> | undefined;
  #supported: readonly Version[] | undefined;

  private constructor(
    readonly profile: Profile,
    readonly node: Node,
    private readonly resources: AsyncDisposableStack,
  ) {
    this.file = findPlugin(profile.type, profile.path);
    this.spy = new Spy(node, profile.path);
  }

  /** A new node with what the profile sets up on it. The plugin has not been called. */
  static async create(profile: Profile): Promise<Subject> {
    await using undo = new AsyncDisposableStack();
    const testbed = undo.use(await Testbed.create("conformance"));
    const node = await testbed.node("node", { addresses: ["10.9.0.1/24", "fd00:9::1/64"] });
    const surroundings = await profile.setUp?.(testbed, node);
    if (surroundings !== undefined) undo.use(surroundings);
    return new Subject(profile, node, undo.move());
  }

  /** Whether the plugin stands behind others, whose results it is given. */
  get chained(): boolean {
    return this.index > 0;
  }

  /** The plugins before the one under test. */
  get before(): readonly JsonObject[] {
    return this.profile.conf.plugins.slice(0, this.index);
  }

  /** The plugin's configuration as a runtime derives it (section 3), without `prevResult`. */
  conf(changes: JsonObject = {}, version: Version | string = this.profile.version): JsonObject {
    return this.derived(this.profile.conf.plugins[this.index] ?? {}, changes, version);
  }

  /** The configuration of any plugin of the list. */
  derived(plugin: JsonObject, changes: JsonObject, version: Version | string): JsonObject {
    const { capabilities: _, ...rest } = plugin;
    return { cniVersion: version, name: this.profile.conf.name, ...rest, ...changes };
  }

  /** Calls the plugin under test, exactly so. What it answers is noted. */
  async call(call: Call): Promise<Outcome> {
    const outcome = await this.run(this.file, call);
    this.outcomes.push(outcome);
    return outcome;
  }

  /** Calls any plugin. @param file Its executable. */
  async run(file: string, { command, title, variables, stdin }: Call): Promise<Outcome> {
    const env = { ...ENVIRONMENT, ...this.profile.env, ...variables, CNI_COMMAND: command };
    const input = typeof stdin === "string" ? stdin : JSON.stringify(stdin);
    const { code, signal, stdout, stderr } = await this.node.run(file, [], {
      timeout: TIMEOUT,
      env: Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined)),
      input,
    });
    return {
      call: title ?? command ?? "a call without CNI_COMMAND",
      status: code,
      signal,
      stdout: stdout.toString(),
      stderr: stderr.toString(),
    };
  }

  /** The released versions that VERSION lists, oldest first. @throws Violation when it lists none. */
  async supportedVersions(): Promise<readonly Version[]> {
    this.#supported ??= await this.#askVersions();
    return this.#supported;
  }

  /** Makes what every first attachment leaves for the next ones: a bridge, a setting of the kernel. */
  async warmUp(): Promise<void> {
    this.#warm ??= this.#addAndDel();
    await this.#warm;
  }

  /** CNI_PATH. */
  get path(): string {
    return this.profile.path.join(":");
  }

  /** A new container with a namespace, in which the plugins before ours have done their ADD. */
  attached(options: AttachedOptions = {}): Promise<Attached> {
    this.#attached += 1;
    return Attached.create(this, `c${this.#attached}`, options);
  }

  /**
   * An attachment for whoever changes nothing of it, made when it is first asked for. Its ADD has succeeded.
   * @throws Violation when that fails.
   */
  async shared(): Promise<Attached> {
    this.#shared ??= this.#addShared();
    return this.#shared;
  }

  /** Removes it: whoever asks for all that is left on the node must not find it. */
  async endShared(): Promise<void> {
    const shared = this.#shared;
    this.#shared = undefined;
    await (await shared?.catch(() => undefined))?.[Symbol.asyncDispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.endShared();
    await this.resources.disposeAsync();
  }

  async #askVersions(): Promise<readonly Version[]> {
    const stdin = { cniVersion: this.profile.version };
    const outcome = await this.call({ command: "VERSION", variables: {}, stdin });
    requireSuccess(outcome);
    const { supportedVersions } = printedObject(outcome);
    must(Array.isArray(supportedVersions), `supportedVersions should be a list. ${shown(outcome)}`);
    const known = VERSIONS.filter((version) => supportedVersions.includes(version));
    must(known.length > 0, `supportedVersions should have a released version. ${shown(outcome)}`);
    return known;
  }

  async #addShared(): Promise<Attached> {
    await using undo = new AsyncDisposableStack();
    const attached = undo.use(await this.attached());
    await attached.added();
    undo.move();
    return attached;
  }

  async #addAndDel(): Promise<void> {
    await using attached = await this.attached();
    await attached.added();
  }

  private get index(): number {
    const found = this.profile.conf.plugins.findIndex(({ type }) => type === this.profile.type);
    if (found < 0) throw new Error(`the configuration has no plugin of type "${this.profile.type}"`);
    return found;
  }
}
