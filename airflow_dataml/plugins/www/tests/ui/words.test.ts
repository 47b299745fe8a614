import { describe, expect, it } from "vitest";
import { assetPath, labelPath, path, taskPath } from "../../src/ui/paths";
import { ago, count, duration, kinds, moment, number, share, size, utc, words } from "../../src/ui/words";

describe("values as words", () => {
  it.each([
    [number(1234567), "1,234,567"],
    [number(0.123456), "0.1235"],
    [number(null), "-"],
    [words({ a: 1 }), '{"a":1}'],
    [words(""), "-"],
    [count(1, "row"), "1 row"],
    [count(2, "row"), "2 rows"],
    [share(0.0001), "< 0.1 %"],
    [share(0.9999), "> 99.9 %"],
    [share(0.25), "25 %"],
    [size(1_500_000), "1.5 MB"],
    [size(0), "0 B"],
    [kinds({ kind: "model", subtype: "model" }), "model"],
    [kinds({ kind: "external", subtype: "object_store" }), "external, object store"],
    [kinds({ kind: "dataset", subtype: null }), "dataset"],
    [utc("2026-03-01T12:00:00Z"), "2026-03-01 12:00:00"],
    [utc("never"), "-"],
    [moment(0, 100_000), "1970-01-01"],
    [duration(7200), "2 hours"],
    [duration(0.4), "0 seconds"],
    [ago("2026-03-01T12:00:00Z", Date.parse("2026-03-04T12:00:00Z")), "3 days ago"],
    [ago(null), "-"],
  ])("%s", (said, expected) => {
    expect(said).toBe(expected);
  });
});

describe("addresses", () => {
  it("leave out what is not chosen", () => {
    expect(path("incidents", { state: null, page: false, asset: "" })).toBe("/plugin/dataml/incidents");
    expect(assetPath("a/b", { tab: "quality", report: 3 })).toBe("/plugin/dataml/asset/a%2Fb?tab=quality&report=3");
  });
  it("lead from a label to the version", () => {
    expect(labelPath("rides@17")).toBe("/plugin/dataml/asset/rides?version=17");
    expect(labelPath("rides")).toBe("/plugin/dataml/asset/rides");
  });
  it("lead to the task that wrote something, if one did", () => {
    const run = { dag_id: "rides", run_id: "manual__1+0", task_id: "publish", map_index: 2 };
    expect(taskPath(run)).toBe("/dags/rides/runs/manual__1%2B0/tasks/publish/mapped/2");
    expect(taskPath({ ...run, dag_id: "dataml-cli" })).toBeNull();
  });
});
