import { describe, expect, it, test } from "vitest";
import { commands } from "../../../src/cli/commands.ts";
import { manualPage, optionTexts, parseManual } from "../../../src/cli/manual.ts";

const HELP = `
Usage: podvpn work [--file FILE]
       podvpn work hard

Works, with * and _ and <x>,
in two lines. It takes \`one_thing\`.

Options:
  --file FILE  what to work on; more
               of it
  --topology a|b
               how
  --dry-run    only say

Files:
  /etc/x  a file

  /etc/y  another one

Exit status:
  0  done
`;

describe("a command's help", () => {
  it("is read into usage, paragraphs and sections", () => {
    expect(parseManual(HELP)).toEqual({
      usage: ["podvpn work [--file FILE]", "podvpn work hard"],
      description: ["Works, with * and _ and <x>, in two lines. It takes `one_thing`."],
      sections: [
        { title: "Options", lines: expect.arrayContaining(["--dry-run    only say"]) },
        { title: "Files", lines: ["/etc/x  a file", "", "/etc/y  another one"] },
        { title: "Exit status", lines: ["0  done"] },
      ],
    });
  });

  it("tells of each option, also in several lines", () => {
    expect(Object.fromEntries(optionTexts(parseManual(HELP)))).toEqual({
      file: "what to work on; more of it",
      topology: "how",
      "dry-run": "only say",
    });
  });

  it("becomes a page in which prose stays prose", () => {
    const page = manualPage("work", "does_it", HELP);
    expect(page).toMatch(/^# podvpn work\n\nDoes\\_it\.\n\n## Usage\n\n```\npodvpn work \[--file FILE\]\n/);
    expect(page).toContain("Works, with \\* and \\_ and \\<x\\>, in two lines. It takes `one_thing`.");
    expect(page).toContain("## Exit status\n\n```\n0  done\n```\n");
  });
});

describe.each(commands.map((command) => ({ name: command.name, command })))(
  "podvpn $name --help",
  ({ name, command }) => {
    const load = async () => {
      const { help, forms } = await command.load();
      return { help, forms, manual: parseManual(help) };
    };

    test("is a manual page: usage, what it does, exit status, examples", async () => {
      const { manual } = await load();
      expect(manual.usage.every((line) => line.startsWith(`podvpn ${name}`) || line.startsWith(" "))).toBe(true);
      expect(manual.description.length).toBeGreaterThan(0);
      const titles = manual.sections.map(({ title }) => title);
      expect(titles).toEqual(expect.arrayContaining(["Exit status", "Examples"]));
      expect(new Set(titles).size).toBe(titles.length);
      const statuses = manual.sections.find(({ title }) => title === "Exit status")?.lines ?? [];
      expect(statuses[0]).toMatch(/^0 {2}/);
    });

    test("has every option that the command takes, and no other", async () => {
      const { forms, manual } = await load();
      const taken = new Set(forms.flatMap(({ options }) => Object.keys(options)));
      expect([...optionTexts(manual).keys()].sort()).toEqual([...taken].sort());
      for (const [option, text] of optionTexts(manual)) expect(text, option).not.toBe("");
      const usage = manual.usage.join("\n");
      for (const option of taken) expect(usage).toMatch(new RegExp(`--${option}\\b`));
      for (const { word } of forms) expect(usage).toContain(`podvpn ${word === undefined ? name : `${name} ${word}`}`);
    });

    test("has examples that are calls of commands, with options that there are", async () => {
      const { manual } = await load();
      const lines = manual.sections.find(({ title }) => title === "Examples")?.lines ?? [];
      const calls = lines.flatMap((line) => [...line.matchAll(/podvpn ([a-z]+)((?: [^|;)>#'"]*)?)/g)]);
      expect(calls.length).toBeGreaterThan(0);
      for (const [call, called, rest = ""] of calls) {
        const other = commands.find((known) => known.name === called);
        expect(other, call).toBeDefined();
        const options = new Set((await other?.load())?.forms.flatMap((form) => Object.keys(form.options)));
        for (const [, option = ""] of rest.matchAll(/ --([a-z-]+)/g)) expect(options, call).toContain(option);
      }
    });
  },
);
