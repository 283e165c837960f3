import { counter, flag, integer, requiredInteger, requiredText } from "./fields.ts";
import type { Message } from "./message.ts";

/** An IKE_SA as charon reports it (event `list-sa`). Times are in seconds. */
export interface IkeSa {
  /** Of its connection; several SAs may have the same. */
  readonly name: string;
  /** Of the SA, for `ikeId`. */
  readonly uniqueid: number;
  /** 1 or 2: IKEv1, IKEv2. */
  readonly version: number;
  /** CREATED CONNECTING ESTABLISHED PASSIVE REKEYING REKEYED DELETING DESTROYING */
  readonly state: string;
  readonly localHost: string;
  readonly localPort: number;
  /** `%any` until it is known; the same for {@link remoteId}. */
  readonly localId: string;
  readonly remoteHost: string;
  readonly remotePort: number;
  readonly remoteId: string;
  /** Whether this side began it. */
  readonly initiator: boolean;
  readonly initiatorSpi: string;
  readonly responderSpi: string;
  /** A NAT is before this side, before the other, or forced by `encap`: then ESP goes in UDP. */
  readonly natLocal: boolean;
  readonly natRemote: boolean;
  readonly natAny: boolean;
  readonly encrAlg?: string | undefined;
  readonly encrKeysize?: number | undefined;
  readonly integAlg?: string | undefined;
  readonly prfAlg?: string | undefined;
  readonly dhGroup?: string | undefined;
  /** Since when; absent unless established. */
  readonly established?: number | undefined;
  /** Until it is rekeyed, until it is authenticated again; absent when it is not going to be. */
  readonly rekeyTime?: number | undefined;
  readonly reauthTime?: number | undefined;
  /** Virtual IPs that this side got, or gave to the other. */
  readonly localVips: readonly string[];
  readonly remoteVips: readonly string[];
  readonly childSas: readonly ChildSa[];
}

/** A CHILD_SA: a pair of ESP SAs. Times are in seconds; counters are zero, and SPIs absent, until it is installed. */
export interface ChildSa {
  /** Of the child in the connection. */
  readonly name: string;
  /** Of the SA, for `childId`. */
  readonly uniqueid: number;
  readonly reqid: number;
  /** CREATED ROUTED INSTALLING INSTALLED UPDATING REKEYING REKEYED RETRYING DELETING DELETED DESTROYING */
  readonly state: string;
  /** TUNNEL TRANSPORT BEET PASS DROP */
  readonly mode: string;
  /** ESP or AH. */
  readonly protocol?: string | undefined;
  /** ESP in UDP. */
  readonly encap: boolean;
  /** Hexadecimal. */
  readonly spiIn?: string | undefined;
  readonly spiOut?: string | undefined;
  readonly encrAlg?: string | undefined;
  readonly encrKeysize?: number | undefined;
  readonly integAlg?: string | undefined;
  readonly dhGroup?: string | undefined;
  readonly bytesIn: bigint;
  readonly bytesOut: bigint;
  readonly packetsIn: bigint;
  readonly packetsOut: bigint;
  /** Since the last packet; absent before the first. */
  readonly useIn?: number | undefined;
  readonly useOut?: number | undefined;
  /** Since it was installed. */
  readonly installTime?: number | undefined;
  /** Until it is rekeyed, until it is deleted. */
  readonly rekeyTime?: number | undefined;
  readonly lifeTime?: number | undefined;
  /** Traffic selectors: `10.0.0.0/8`, `10.0.0.1/32[tcp/http]`. */
  readonly localTs: readonly string[];
  readonly remoteTs: readonly string[];
}

/**
 * The SAs of a message whose sections are SAs: events `list-sa`, `ike-updown`, `child-updown`.
 * In `child-updown`, {@link IkeSa.childSas} holds just the one that changed.
 * @throws ViciError `PROTOCOL` when one lacks a field that every SA has.
 */
export function readIkeSas(message: Message): IkeSa[] {
  return message.sections().map(([name, sa]) => readIkeSa(name, sa));
}

function readIkeSa(name: string, sa: Message): IkeSa {
  return {
    name,
    uniqueid: requiredInteger(sa, "uniqueid"),
    version: requiredInteger(sa, "version"),
    state: requiredText(sa, "state"),
    localHost: requiredText(sa, "local-host"),
    localPort: requiredInteger(sa, "local-port"),
    localId: requiredText(sa, "local-id"),
    remoteHost: requiredText(sa, "remote-host"),
    remotePort: requiredInteger(sa, "remote-port"),
    remoteId: requiredText(sa, "remote-id"),
    initiator: flag(sa, "initiator"),
    initiatorSpi: requiredText(sa, "initiator-spi"),
    responderSpi: requiredText(sa, "responder-spi"),
    natLocal: flag(sa, "nat-local"),
    natRemote: flag(sa, "nat-remote"),
    natAny: flag(sa, "nat-any"),
    encrAlg: sa.text("encr-alg"),
    encrKeysize: integer(sa, "encr-keysize"),
    integAlg: sa.text("integ-alg"),
    prfAlg: sa.text("prf-alg"),
    dhGroup: sa.text("dh-group"),
    established: integer(sa, "established"),
    rekeyTime: integer(sa, "rekey-time"),
    reauthTime: integer(sa, "reauth-time"),
    localVips: sa.list("local-vips"),
    remoteVips: sa.list("remote-vips"),
    childSas: (sa.section("child-sas")?.sections() ?? []).map(([, child]) => readChildSa(child)),
  };
}

function readChildSa(child: Message): ChildSa {
  return {
    name: requiredText(child, "name"),
    uniqueid: requiredInteger(child, "uniqueid"),
    reqid: requiredInteger(child, "reqid"),
    state: requiredText(child, "state"),
    mode: requiredText(child, "mode"),
    protocol: child.text("protocol"),
    encap: flag(child, "encap"),
    spiIn: child.text("spi-in"),
    spiOut: child.text("spi-out"),
    encrAlg: child.text("encr-alg"),
    encrKeysize: integer(child, "encr-keysize"),
    integAlg: child.text("integ-alg"),
    dhGroup: child.text("dh-group"),
    bytesIn: counter(child, "bytes-in"),
    bytesOut: counter(child, "bytes-out"),
    packetsIn: counter(child, "packets-in"),
    packetsOut: counter(child, "packets-out"),
    useIn: integer(child, "use-in"),
    useOut: integer(child, "use-out"),
    installTime: integer(child, "install-time"),
    rekeyTime: integer(child, "rekey-time"),
    lifeTime: integer(child, "life-time"),
    localTs: child.list("local-ts"),
    remoteTs: child.list("remote-ts"),
  };
}
