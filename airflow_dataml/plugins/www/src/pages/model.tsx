// One model. It is an asset like any other; this is the address people guess.

export { default } from "./asset";
