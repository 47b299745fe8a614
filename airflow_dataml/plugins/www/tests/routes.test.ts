import { describe, expect, it } from "vitest";
import { ROUTES, routeOf } from "../src/routes";

describe("the page at an address", () => {
  it.each([
    ["", "", ""],
    ["/", "", ""],
    ["/asset/rides", "asset", "rides"],
    ["/asset/s3%3A%2F%2Flake%2Fa", "asset", "s3://lake/a"],
    ["/asset/s3:/lake/a", "asset", "s3:/lake/a"],
    ["/asset/100%", "asset", "100%"],
    ["/incidents", "incidents", ""],
    ["/nowhere", "", ""],
    ["/asset", "", ""],
  ])("%s", (address, place, name) => {
    const found = routeOf(address);
    expect([found.route.place, found.name]).toEqual([place, name]);
  });
  it("is of one place each", () => {
    expect(new Set(ROUTES.map((route) => `${route.place} ${Boolean(route.named)}`)).size).toBe(ROUTES.length);
  });
  it.each(ROUTES.map((route) => [route.place, route]))("%s has its own chunk with a component", async (_, route) => {
    const page = (await import(`../src/pages/${route.place || "catalog"}.tsx`)) as { default: unknown };
    expect(page.default).toBeTypeOf("function");
  });
});
