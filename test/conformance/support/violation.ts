/** The plugin does not do what the specification asks of it. Anything else that is thrown is a fault of the test itself. */
export class Violation extends Error {
  override readonly name = "Violation";
}

/** @throws Violation with `message` unless `condition` holds. */
export function must(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Violation(message);
}

/** @throws Violation that shows both unless `actual` and `wanted` are the same JSON, whatever the order of keys. */
export function mustBeSame(actual: unknown, wanted: unknown, what: string): void {
  const [is, shouldBe] = [canonical(actual), canonical(wanted)];
  must(is === shouldBe, `${what} is ${is}, and should be ${shouldBe}`);
}

/** JSON with sorted keys. */
export function canonical(value: unknown): string {
  const sorted = (_key: string, item: unknown) =>
    typeof item === "object" && item !== null && !Array.isArray(item)
      ? Object.fromEntries(Object.entries(item).sort(([a], [b]) => (a < b ? -1 : 1)))
      : item;
  return JSON.stringify(value, sorted) ?? "absent";
}
