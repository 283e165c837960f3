/** How far an address or route reaches (rtnetlink's enum rt_scope_t); other numbers read as themselves. */
export type Scope = keyof typeof SCOPES | number;

const SCOPES = { universe: 0, site: 200, link: 253, host: 254, nowhere: 255 } as const;

export function scopeNumber(scope: Scope): number {
  return typeof scope === "number" ? scope : SCOPES[scope];
}

export function scopeName(number: number): Scope {
  return names.find((name) => SCOPES[name] === number) ?? number;
}

const names = Object.keys(SCOPES) as (keyof typeof SCOPES)[];
