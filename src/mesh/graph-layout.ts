import type { MeshGraph } from "./graph.ts";

/** In pixels, from the top left corner. */
export interface Point {
  readonly x: number;
  readonly y: number;
}

/** Where a node stands on the circle. */
export interface Seat extends Point {
  /** In radians, clockwise from the right. */
  readonly angle: number;
}

/** The part of the circle that a site has, in radians. */
export interface Arc {
  readonly site: string;
  readonly from: number;
  readonly to: number;
}

/** Nodes on one circle, those of a site beside each other. */
export interface Layout {
  readonly radius: number;
  readonly centre: Point;
  /** How many nodes the circle is divided for, empty places included. */
  readonly places: number;
  readonly seats: ReadonlyMap<string, Seat>;
  /** Empty where all nodes are of one site. */
  readonly arcs: readonly Arc[];
}

/** Between two nodes on the circle, in pixels: a line of text beside each, and no more. */
const SPACING = 24;
const LEAST_RADIUS = 220;

/**
 * Places for all nodes, the first one on top, clockwise; an empty place between sites. The circle grows with the nodes, so
 * that their names never touch. Pure. @param margin Room around the circle, in pixels.
 */
export function layoutOf({ nodes }: Pick<MeshGraph, "nodes">, margin: number): Layout {
  const sites = [...Map.groupBy(nodes, ({ site }) => site)];
  const gap = sites.length > 1 ? 1 : 0;
  const places = Math.max(1, nodes.length + gap * sites.length);
  const radius = Math.max(LEAST_RADIUS, Math.ceil((places * SPACING) / (2 * Math.PI)));
  const centre = { x: radius + margin, y: radius + margin };
  const angleAt = (place: number) => (2 * Math.PI * place) / places - Math.PI / 2;
  const seats = new Map<string, Seat>();
  const arcs: Arc[] = [];
  let place = 0;
  for (const [site, members] of sites) {
    arcs.push({ site, from: angleAt(place - 0.4), to: angleAt(place + members.length - 0.6) });
    for (const { name } of members) {
      const angle = angleAt(place);
      seats.set(name, { ...pointAt(centre, radius, angle), angle });
      place += 1;
    }
    place += gap;
  }
  return { radius, centre, places, seats, arcs: gap === 0 ? [] : arcs };
}

/** The point of a circle at that angle. */
export function pointAt(centre: Point, radius: number, angle: number): Point {
  return { x: centre.x + radius * Math.cos(angle), y: centre.y + radius * Math.sin(angle) };
}

/** A rectangle around its middle. */
export interface Box extends Point {
  readonly width: number;
  readonly height: number;
}

/** Where on a line a text may stand; as near to its middle as there is room. Never at the ends, where the nodes are. */
const SHARES: readonly number[] = [0.5, 0.42, 0.58, 0.36, 0.64, 0.3, 0.7, 0.25, 0.75];

/** Or how far from the middle of a line, towards the centre, in pixels: the line between neighbours is short. */
const INWARD: readonly number[] = [20, 36, 52, 68];

/**
 * A place for a text on the line from `one` to `other`, or a little inward of it, that touches none of `taken`; undefined
 * when there is none. Pure.
 */
export function placeOn(
  [one, other]: readonly [Point, Point],
  centre: Point,
  size: Pick<Box, "width" | "height">,
  taken: readonly Box[],
): Box | undefined {
  const middle = between(one, other, 0.5);
  const far = Math.hypot(centre.x - middle.x, centre.y - middle.y);
  const places = [
    ...SHARES.map((share) => between(one, other, share)),
    ...INWARD.filter((shift) => shift < far).map((shift) => between(middle, centre, shift / far)),
  ];
  return places.map((place) => ({ ...place, ...size })).find((box) => !taken.some((each) => touch(box, each)));
}

/** @param share 0 is `one`, 1 is `other`. */
function between(one: Point, other: Point, share: number): Point {
  return { x: one.x + share * (other.x - one.x), y: one.y + share * (other.y - one.y) };
}

/** Whether the two have a point in common. */
export function touch(one: Box, other: Box): boolean {
  return (
    2 * Math.abs(one.x - other.x) < one.width + other.width && 2 * Math.abs(one.y - other.y) < one.height + other.height
  );
}
