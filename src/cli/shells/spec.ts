import type { Command, Form, Option, ValueKind } from "../command.ts";
import { optionTexts, parseManual } from "../manual.ts";

/** What a shell has to know of a command. */
export interface CommandSpec {
  readonly name: string;
  readonly summary: string;
  /** At least one; those without a word first. */
  readonly forms: readonly FormSpec[];
}

/** One way to call a command. */
export interface FormSpec {
  /** `hub leases`, or the command alone. */
  readonly call: string;
  readonly options: readonly OptionSpec[];
  readonly operands?: ValueKind;
  /** What may follow the command's name: the words of its other forms. Only of the form without one. */
  readonly words: readonly string[];
}

export interface OptionSpec {
  /** With its dashes. */
  readonly name: string;
  /** What it does, in a few words. */
  readonly text: string;
  readonly takesValue: boolean;
  readonly value?: ValueKind;
  readonly multiple: boolean;
}

/** Every command takes it. */
const HELP: OptionSpec = { name: "--help", text: "tell more", takesValue: false, multiple: false };

/** Of all commands, by what they parse their arguments with, and what their help says of it. */
export async function commandSpecs(table: readonly Command[]): Promise<CommandSpec[]> {
  return Promise.all(
    table.map(async ({ name, summary, load }) => {
      const { forms, help } = await load();
      const texts = optionTexts(parseManual(help));
      const words = forms.flatMap(({ word }) => word ?? []);
      // A command all of whose forms have a word has none without, which has to be completed all the same.
      const bare: readonly Form[] = forms.some(({ word }) => word === undefined) ? [] : [{ options: {} }];
      const specs = [...bare, ...forms].map((form) => formSpec(name, form, words, texts));
      return { name, summary, forms: specs.toSorted((one, other) => other.words.length - one.words.length) };
    }),
  );
}

function formSpec(
  name: string,
  { word, options, operands }: Form,
  words: readonly string[],
  texts: ReadonlyMap<string, string>,
): FormSpec {
  return {
    call: word === undefined ? name : `${name} ${word}`,
    options: [...Object.entries(options).map(([key, option]) => optionSpec(key, option, texts.get(key) ?? "")), HELP],
    ...(operands !== undefined && { operands }),
    words: word === undefined ? words : [],
  };
}

function optionSpec(key: string, { type, value, multiple = false }: Option, text: string): OptionSpec {
  const few = /^[^;:(]*/.exec(text)?.[0].trim() ?? "";
  return {
    name: `--${key}`,
    text: few.length <= MOST ? few : `${few.slice(0, MOST).replace(/\s+\S*$/, "")} …`,
    takesValue: type === "string",
    ...(value !== undefined && { value }),
    multiple,
  };
}

/** Columns of a text beside an option. */
const MOST = 60;
