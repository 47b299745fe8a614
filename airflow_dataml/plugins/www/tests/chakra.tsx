// Chakra as plain elements: what a test looks at is words, roles and labels, not looks.

import { createElement, isValidElement, cloneElement, type ReactElement, type ReactNode } from "react";

const PASSED =
  /^(aria-|data-|on[A-Z]|id$|title$|role$|tabIndex$|style$|ref$|value$|placeholder$|type$|disabled$|open$|scope$|colSpan$|name$|required$|maxLength$|list$|href$|htmlFor$|download$|target$|rel$)/;

type Props = Record<string, unknown> & { children?: ReactNode; as?: string; asChild?: boolean };

function plain(tag: string) {
  return function Plain({ children, as, asChild, ...rest }: Props) {
    const passed = Object.fromEntries(Object.entries(rest).filter(([name]) => PASSED.test(name)));
    if (asChild && isValidElement(children)) return cloneElement(children as ReactElement, passed);
    return createElement(as ?? tag, passed, children);
  };
}

const group = (parts: Record<string, string>) =>
  Object.fromEntries(Object.entries(parts).map(([name, tag]) => [name, plain(tag)]));

export const Box = plain("div");
export const Center = plain("div");
export const Container = plain("div");
export const Flex = plain("div");
export const HStack = plain("div");
export const VStack = plain("div");
export const Stack = plain("div");
export const SimpleGrid = plain("div");
export const Text = plain("p");
export const Heading = plain("h2");
export const Code = plain("code");
export const Badge = plain("span");
export const Link = plain("a");
export const Button = plain("button");
export const IconButton = plain("button");
export const Input = plain("input");
export const Textarea = plain("textarea");
export const Spinner = plain("span");
export const Skeleton = plain("div");
export const Separator = plain("hr");
export const VisuallyHidden = plain("span");
export const Alert = group({ Root: "div", Indicator: "span", Content: "div", Title: "div", Description: "div" });
export const NativeSelect = group({ Root: "div", Field: "select", Indicator: "span" });
export const Table = group({
  Root: "table",
  Header: "thead",
  Body: "tbody",
  Row: "tr",
  ColumnHeader: "th",
  Cell: "td",
  Caption: "caption",
});
const dialog = group({
  Backdrop: "div",
  Positioner: "div",
  Content: "div",
  Header: "div",
  Title: "h2",
  Body: "div",
  Footer: "div",
  CloseTrigger: "button",
});
export const Dialog = {
  ...dialog,
  Root: ({ open, children }: { open?: boolean; children?: ReactNode }) =>
    open ? <div role="dialog">{children}</div> : null,
};
export const Portal = ({ children }: { children?: ReactNode }) => children;
