// Answers as state of a component: one at a time, or page after page.

import { useCallback, useEffect, useState } from "react";
import { type Address, further, get } from "./client";

export interface Answer<Data> {
  loading: boolean;
  data?: Data;
  error?: Error;
}

export interface Pages<Item, Page> {
  items: Item[];
  loading: boolean;
  error?: Error;
  /** The first page as it came, for what it has beside its items. */
  first?: Page;
  /** Loads what follows; ``null`` when all is here. */
  more: (() => void) | null;
  again: () => void;
}

interface PageOf<Item> {
  items: Item[];
  next: string | number | null;
}

interface Held<Item, Page> {
  address: string | null;
  items: Item[];
  next: string | number | null;
  loading: boolean;
  first?: Page;
  error?: Error;
}

/**
 * The answer at an address, and nothing of an earlier one; ``null`` asks for nothing.
 * With ``keep`` the earlier answer stays until the new one is there: for what changes while somebody types.
 */
export function useAnswer<Data>(
  address: Address<Data> | null,
  { keep = false } = {},
): Answer<Data> & { again: () => void } {
  const [held, setHeld] = useState<Answer<Data> & { of: string | null }>({ loading: address !== null, of: address });
  const [turn, setTurn] = useState(0);

  useEffect(() => {
    if (address === null) return undefined;
    const controller = new AbortController();
    setHeld((old) => ({ ...(keep || old.of === address ? { data: old.data } : {}), loading: true, of: address }));
    get(address, controller.signal).then(
      (data) => setHeld({ data, loading: false, of: address }),
      (error: Error) => controller.signal.aborted || setHeld({ error, loading: false, of: address }),
    );
    return () => controller.abort();
  }, [address, keep, turn]);
  const again = useCallback(() => setTurn((old) => old + 1), []);
  if (address === null) return { loading: false, again };
  // Until the effect has run the state is still of the address before.
  return held.of === address || keep ? { ...held, again } : { loading: true, again };
}

/** A list, more of it on demand; ``cursor`` is the name under which the API takes where to go on. */
export function usePages<Item, Page extends PageOf<Item>>(
  address: Address<Page & PageOf<Item>>,
  { cursor = "before", keep = false }: { cursor?: "before" | "after"; keep?: boolean } = {},
): Pages<Item, Page> {
  const empty: Held<Item, Page> = { address, items: [], next: null, loading: true };
  const [held, setHeld] = useState(empty);
  const [turn, setTurn] = useState(0);

  useEffect(() => {
    const controller = new AbortController();
    setHeld((old) =>
      keep || old.address === address
        ? { ...old, address, loading: true, error: undefined }
        : { address, items: [], next: null, loading: true },
    );
    get(address, controller.signal).then(
      (page) => setHeld({ address, items: page.items, next: page.next, loading: false, first: page }),
      (error: Error) => controller.signal.aborted || setHeld({ address, items: [], next: null, loading: false, error }),
    );
    return () => controller.abort();
  }, [address, keep, turn]);
  const again = useCallback(() => setTurn((old) => old + 1), []);
  const shown = held.address === address || keep ? held : empty;
  const more = () => {
    if (shown.next === null) return;
    setHeld({ ...shown, loading: true });
    get(further(address, cursor, shown.next)).then(
      (page) =>
        setHeld((old) =>
          old.address === address
            ? { ...old, items: [...old.items, ...page.items], next: page.next, loading: false }
            : old,
        ),
      (error: Error) => setHeld((old) => (old.address === address ? { ...old, loading: false, error } : old)),
    );
  };
  return {
    items: shown.items,
    loading: shown.loading,
    error: shown.error,
    first: shown.first,
    more: shown.next === null ? null : more,
    again,
  };
}
