// Choosing one of a dataset's versions.

import { HStack, NativeSelect } from "@chakra-ui/react";
import { Muted } from "../ui/pieces";
import { utc } from "../ui/words";

interface Choice {
  number: number;
  created_at?: string;
}

interface PickerProps {
  label: string;
  versions: Choice[];
  value: number | null;
  choose: (version: number) => void;
}

export function VersionPicker({ label, versions, value, choose }: PickerProps) {
  const known =
    value === null || versions.some((v) => v.number === value) ? versions : [{ number: value }, ...versions];
  return (
    <HStack gap={2}>
      <Muted aria-hidden>{label}</Muted>
      <NativeSelect.Root size="sm" width="auto">
        <NativeSelect.Field
          aria-label={`${label}, version`}
          value={value ?? ""}
          onChange={(event) => choose(Number(event.target.value))}
        >
          {value === null && <option value="">choose</option>}
          {known.map((v) => (
            <option key={v.number} value={v.number}>
              {`@${v.number}${v.created_at ? `, ${utc(v.created_at)}` : ""}`}
            </option>
          ))}
        </NativeSelect.Field>
        <NativeSelect.Indicator />
      </NativeSelect.Root>
    </HStack>
  );
}
