// The quarantine of all datasets.

import { Quarantines } from "../dataset/quarantines";

export default function Quarantine() {
  return <Quarantines />;
}
