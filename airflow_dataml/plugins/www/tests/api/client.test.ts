import { describe, expect, it } from "vitest";
import { at, further, get } from "../../src/api/client";
import { lend, refusal } from "../lend";

describe("an address", () => {
  it("has the values of the path in it, and those of the query behind it", () => {
    expect(at("/assets/{name}/versions", { name: "s3://lake/a b", limit: 2 })).toBe(
      "assets/s3%3A%2F%2Flake%2Fa%20b/versions?limit=2",
    );
  });
  it("leaves out what is empty", () => {
    expect(at("/incidents", { state: null, asset: "" })).toBe("incidents");
  });
  it("goes on where a page ended", () => {
    expect(further(at("/incidents"), "before", 7)).toBe("incidents?before=7");
    expect(further(at("/incidents", { state: "open" }), "before", 7)).toBe("incidents?state=open&before=7");
  });
});

describe("a refusal", () => {
  it.each([
    [401, "x", "Your session has ended. Reload the page to sign in again."],
    [403, "x", "You may not do this here. Ask an administrator."],
    [404, "asset 'x' is not in the ledger.", "asset 'x' is not in the ledger."],
    [503, "The ledger does not answer.", "The ledger does not answer."],
  ])("%i is said in words", async (status, detail, words) => {
    lend({ incidents: refusal(status, detail) });
    await expect(get(at("/incidents"))).rejects.toThrow(words);
  });
});
