import { cleanup, configure } from "@testing-library/react";
import { afterEach } from "vitest";

afterEach(cleanup);

// A busy machine loads a page's chunk slower than a second, which is what the library waits.
configure({ asyncUtilTimeout: 4000 });
