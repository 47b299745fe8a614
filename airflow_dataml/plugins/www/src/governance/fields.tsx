// Fields that narrow a list down: a choice of words, a text, a day. What is chosen stands in the address.

import { Box, Input, NativeSelect, Text } from "@chakra-ui/react";
import { type ReactNode, useEffect, useId, useState } from "react";

function Labelled({ label, children }: { label: string; children: (id: string) => ReactNode }) {
  const id = useId();
  return (
    <Box>
      <Text as="label" display="block" fontSize="xs" color="fg.muted" {...{ htmlFor: id }}>
        {label}
      </Text>
      {children(id)}
    </Box>
  );
}

interface FieldProps {
  label: string;
  value: string;
  pick: (value: string) => void;
}

/** One of some words; the first is what is meant where nothing is chosen. */
export function Choice({ label, value, pick, options }: FieldProps & { options: [value: string, title: string][] }) {
  return (
    <Labelled label={label}>
      {(id) => (
        <NativeSelect.Root size="sm" w="11rem">
          <NativeSelect.Field
            id={id}
            aria-label={label}
            value={value}
            onChange={(event: { target: { value: string } }) => pick(event.target.value)}
          >
            {options.map(([one, title]) => (
              <option key={one} value={one}>
                {title}
              </option>
            ))}
          </NativeSelect.Field>
          <NativeSelect.Indicator />
        </NativeSelect.Root>
      )}
    </Labelled>
  );
}

/** A text or a day; it counts when one leaves the field or presses Enter. */
export function Entry({
  label,
  value,
  pick,
  placeholder,
  type = "text",
}: FieldProps & { placeholder?: string; type?: "text" | "date" }) {
  const [typed, setTyped] = useState(value);
  // A step back in the browser's history changes what was asked for.
  useEffect(() => setTyped(value), [value]);
  const done = () => {
    if (typed.trim() !== value) pick(typed.trim());
  };
  return (
    <Labelled label={label}>
      {(id) => (
        <Input
          id={id}
          aria-label={label}
          type={type}
          size="sm"
          w={type === "date" ? "10rem" : "13rem"}
          value={typed}
          placeholder={placeholder ?? ""}
          onChange={(event) => setTyped(event.target.value)}
          onBlur={done}
          onKeyDown={(event) => {
            if (event.key === "Enter") done();
          }}
        />
      )}
    </Labelled>
  );
}
