/** Milliseconds: the kernel removes the links of a namespace some time after the namespace. */
const SETTLING = 3000;

/** What is left, when it has had time to go. */
export async function settled(differences: () => Promise<string[]>): Promise<string[]> {
  const until = performance.now() + SETTLING;
  for (;;) {
    const left = await differences();
    if (left.length === 0 || performance.now() > until) return left;
  }
}
