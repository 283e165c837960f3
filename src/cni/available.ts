import { Code, Fault } from "../fault.ts";

/** For STATUS: what `test` misses makes the plugin unavailable (SPEC 1.1.0, STATUS). @throws Fault 50 for any Fault. */
export async function available<T>(test: () => Promise<T>): Promise<T> {
  try {
    return await test();
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    throw new Fault(Code.notAvailable, error.what, error.remedy, { cause: error });
  }
}
