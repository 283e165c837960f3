import { type Address, addressBytes, parseAddress } from "../net/address.ts";
import { attribute } from "./attributes.ts";
import { concat, readBigEndianU32, u8, u16, u32, u64, zeros } from "./bytes.ts";
import { changed, NetlinkError } from "./error.ts";
import { af } from "./family.ts";
import { NLM_F_CREATE, NLM_F_EXCL } from "./message.ts";
import type { Netlink } from "./netlink.ts";
import type { XfrmState } from "./xfrm.ts";

/**
 * Whether this kernel does ESP with AES-GCM: a real attempt, a security association on loopback that is removed at
 * once. Undefined when it does; else the errno ("EPROTONOSUPPORT": no ESP; "ENOSYS": no rfc4106(gcm(aes))).
 * @throws NetlinkError for what says nothing about ESP (EPERM).
 */
export async function espRefusal(nl: Netlink): Promise<string | undefined> {
  try {
    await nl.change(XFRM_MSG_NEWSA, NLM_F_CREATE | NLM_F_EXCL, probeState(), "try an ESP security association");
  } catch (error) {
    if (!(error instanceof NetlinkError) || error.errno === "EPERM") throw error;
    // EEXIST: one that was killed, or that runs beside us, has succeeded in the same attempt.
    if (error.errno !== "EEXIST") return error.errno;
  }
  // ESRCH: the one beside us has removed it.
  await changed(nl.change(XFRM_MSG_DELSA, 0, stateId(), "remove the attempt's ESP security association"), "ESRCH");
  return undefined;
}

/** Whether it is the security association of such an attempt, which somebody is making just now. Pure. */
export function isAttempt({ dst, spi }: Pick<XfrmState, "dst" | "spi">): boolean {
  return dst === LOOPBACK && spi === readBigEndianU32(SPI, 0);
}

/** struct xfrm_usersa_info with XFRMA_ALG_AEAD (linux/xfrm.h); the key is of no use to anybody: nothing matches it. */
function probeState(): Uint8Array {
  return concat(
    zeros(56), // selector
    padded(LOOPBACK),
    SPI,
    u8(IPPROTO_ESP),
    zeros(3),
    padded(LOOPBACK),
    LIMITS,
    zeros(32), // lifetime so far
    zeros(12), // statistics
    u32(0), // sequence
    u32(0), // reqid
    u16(af(4)),
    u8(MODE_TUNNEL),
    zeros(9), // replay window, flags, padding
    attribute(XFRMA_ALG_AEAD, concat(fixed("rfc4106(gcm(aes))", 64), u32(160), u32(128), zeros(20))),
  );
}

/** struct xfrm_usersa_id. */
function stateId(): Uint8Array {
  return concat(padded(LOOPBACK), SPI, u16(af(4)), u8(IPPROTO_ESP), zeros(1));
}

function padded(address: Address): Uint8Array {
  const bytes = addressBytes(address);
  return concat(bytes, zeros(16 - bytes.length));
}

function fixed(text: string, length: number): Uint8Array {
  return concat(Buffer.from(text), zeros(length - text.length));
}

const LOOPBACK = parseAddress("127.0.0.1") as Address;
/** Network byte order. */
const SPI = Uint8Array.of(0x70, 0x6f, 0x64, 0x01);
/**
 * struct xfrm_lifetime_cfg: XFRM_INF for the limits of bytes and packets; of time, five seconds after it was added
 * (hard_add_expires_seconds): who is killed before the removal leaves nothing behind for long, in a namespace that stays.
 */
const LIMITS = concat(new Uint8Array(32).fill(0xff), zeros(8), u64(5n), zeros(16));
const IPPROTO_ESP = 50;
const MODE_TUNNEL = 1;
const XFRM_MSG_NEWSA = 0x10;
const XFRM_MSG_DELSA = 0x11;
const XFRMA_ALG_AEAD = 18;
