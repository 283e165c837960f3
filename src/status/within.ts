import { Code, Fault } from "../fault.ts";

/**
 * Waits no longer than `bound` ms for what asks somebody who may hang.
 * @param who Is named by the fault: "charon". @throws Fault 5 when the time is over, and what `work` rejects with.
 */
export async function within<T>(bound: number, who: string, work: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    const what = `${who} does not answer within ${bound / 1000} s`;
    late.reject(new Fault(Code.io, what, "see with `ps` whether it is stopped"));
  }, bound);
  try {
    return await Promise.race([work, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
