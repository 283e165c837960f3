/** An element of a document. */
export interface Element {
  readonly name: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly parent: Element | undefined;
  /** What is directly in it. */
  text: string;
}

const TOKEN = /<(\/?)([A-Za-z][\w:-]*)((?:\s+[\w:-]+="[^"<]*")*)\s*(\/?)>|([^<]+)/uy;
const ENTITIES: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"' };

/**
 * All elements of an XML document, in the order in which they begin. Strict: what a browser would refuse is refused.
 * @throws Error at the first thing that is not well formed.
 */
export function parseXml(document: string): Element[] {
  const elements: Element[] = [];
  let open: Element | undefined;
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < document.length) {
    const at = TOKEN.lastIndex;
    const [token, closing, name = "", attributes = "", empty, text] = TOKEN.exec(document) ?? [];
    if (token === undefined) throw new Error(`not well formed: ${document.slice(at, at + 80)}`);
    if (text !== undefined) {
      if (open !== undefined) open.text += decoded(text);
      else if (text.trim() !== "") throw new Error(`text outside of everything: ${text}`);
    } else if (closing === "/") {
      if (open?.name !== name) throw new Error(`</${name}> ends ${open?.name ?? "nothing"}`);
      open = open.parent;
    } else {
      if (open === undefined && elements.length > 0) throw new Error(`a second root: ${token}`);
      const element: Element = { name, attributes: attributesOf(attributes), parent: open, text: "" };
      elements.push(element);
      if (empty !== "/") open = element;
    }
  }
  if (open !== undefined) throw new Error(`<${open.name}> does not end`);
  return elements;
}

function attributesOf(text: string): Record<string, string> {
  const result: Record<string, string> = {};
  for (const [, key = "", value = ""] of text.matchAll(/([\w:-]+)="([^"]*)"/gu)) {
    if (Object.hasOwn(result, key)) throw new Error(`${key} twice`);
    result[key] = decoded(value);
  }
  return result;
}

function decoded(text: string): string {
  if (/[^\t\n\r\u{20}-\u{d7ff}\u{e000}-\u{fffd}\u{10000}-\u{10ffff}]/u.test(text))
    throw new Error("no character of XML");
  return text.replaceAll(/&([^;]*;?)/gu, (entity, name: string) => {
    const character = ENTITIES[name.slice(0, -1)];
    if (character === undefined || !name.endsWith(";")) throw new Error(`no entity: ${entity}`);
    return character;
  });
}
