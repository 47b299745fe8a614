// What the page uses of Chakra UI 3, which Airflow's own page has loaded and lends. Style props take theme tokens,
// so that light and dark follow Airflow's; a component that is not here is not used anywhere.

declare module "@chakra-ui/react" {
  import type {
    AriaRole,
    ComponentType,
    CSSProperties,
    ElementType,
    FocusEvent,
    KeyboardEvent,
    MouseEvent,
    ReactNode,
    Ref,
  } from "react";

  type Token = string | number;
  type Responsive<Value> = Value | { base?: Value; sm?: Value; md?: Value; lg?: Value; xl?: Value };
  type Size = "2xs" | "xs" | "sm" | "md" | "lg" | "xl" | "2xl";
  export type Palette = "gray" | "red" | "orange" | "yellow" | "green" | "teal" | "blue" | "cyan" | "purple" | "pink";

  export interface StyleProps {
    m?: Token;
    mt?: Token;
    mb?: Token;
    ml?: Token;
    mr?: Token;
    mx?: Token;
    my?: Token;
    p?: Token;
    pt?: Token;
    pb?: Token;
    pl?: Token;
    pr?: Token;
    px?: Token;
    py?: Token;
    w?: Token;
    h?: Token;
    width?: Responsive<Token>;
    height?: Token;
    minW?: Responsive<Token>;
    maxW?: Responsive<Token>;
    minH?: Token;
    maxH?: Token;
    display?: Responsive<string>;
    flex?: Token;
    flexShrink?: number;
    overflow?: string;
    overflowX?: string;
    overflowY?: string;
    position?: "relative" | "absolute" | "sticky" | "fixed";
    top?: Token;
    left?: Token;
    right?: Token;
    bottom?: Token;
    zIndex?: Token;
    bg?: string;
    color?: string;
    opacity?: number;
    cursor?: string;
    userSelect?: "all" | "none" | "text";
    boxShadow?: string;
    borderWidth?: string;
    borderTopWidth?: string;
    borderBottomWidth?: string;
    borderLeftWidth?: string;
    borderStyle?: string;
    borderColor?: string;
    borderRadius?: string;
    fontSize?: string;
    fontWeight?: string;
    fontFamily?: string;
    lineHeight?: Token;
    fontVariantNumeric?: string;
    textAlign?: "start" | "end" | "center";
    whiteSpace?: string;
    wordBreak?: "break-word" | "break-all";
    textOverflow?: string;
    verticalAlign?: "top" | "middle";
    textDecoration?: string;
    lineClamp?: number;
    colorPalette?: Palette;
    hideBelow?: Size;
    hideFrom?: Size;
    _hover?: StyleProps;
    _focusVisible?: StyleProps;
  }

  export interface BaseProps extends StyleProps {
    as?: ElementType;
    asChild?: boolean;
    children?: ReactNode;
    id?: string;
    title?: string;
    role?: AriaRole;
    tabIndex?: number;
    hidden?: boolean;
    style?: CSSProperties;
    ref?: Ref<HTMLElement> | undefined;
    className?: string;
    lang?: string;
    open?: boolean;
    onClick?: (event: MouseEvent) => void;
    onKeyDown?: (event: KeyboardEvent) => void;
    onFocus?: (event: FocusEvent) => void;
    onBlur?: (event: FocusEvent) => void;
    onMouseEnter?: (event: MouseEvent) => void;
    onMouseLeave?: (event: MouseEvent) => void;
    [aria: `aria-${string}`]: string | number | boolean | undefined;
    [data: `data-${string}`]: string | number | boolean | undefined;
  }
  export interface StackProps extends BaseProps {
    gap?: Token;
    gapX?: Token;
    gapY?: Token;
    align?: string;
    justify?: string;
    wrap?: "wrap" | "nowrap";
    direction?: Responsive<"row" | "column">;
  }
  export interface ButtonProps extends BaseProps {
    size?: Size;
    variant?: "solid" | "subtle" | "outline" | "ghost" | "plain" | "surface";
    disabled?: boolean;
    loading?: boolean;
    type?: "button" | "submit";
  }
  export interface FieldProps extends Omit<BaseProps, "onChange"> {
    size?: Size;
    variant?: "outline" | "subtle" | "flushed";
    value?: string | number;
    placeholder?: string;
    name?: string;
    disabled?: boolean;
    type?: string;
    required?: boolean;
    rows?: number;
    min?: number;
    max?: number;
    step?: number;
    maxLength?: number;
    autoComplete?: string;
    autoFocus?: boolean;
    list?: string;
    onChange?: (event: { target: { value: string } }) => void;
  }

  export const Box: ComponentType<BaseProps>;
  export const Center: ComponentType<BaseProps>;
  export const Container: ComponentType<BaseProps>;
  export const Flex: ComponentType<StackProps>;
  export const HStack: ComponentType<StackProps>;
  export const VStack: ComponentType<StackProps>;
  export const Stack: ComponentType<StackProps>;
  export const SimpleGrid: ComponentType<StackProps & { columns?: Responsive<number>; minChildWidth?: Token }>;
  export const Text: ComponentType<BaseProps>;
  export const Heading: ComponentType<BaseProps & { size?: Size }>;
  export const Code: ComponentType<BaseProps & { size?: Size; variant?: "subtle" | "outline" | "plain" }>;
  export const Badge: ComponentType<BaseProps & { size?: Size; variant?: "solid" | "subtle" | "outline" | "surface" }>;
  export const Link: ComponentType<BaseProps & { href?: string; target?: string; rel?: string }>;
  export const Button: ComponentType<ButtonProps>;
  export const IconButton: ComponentType<ButtonProps>;
  export const Input: ComponentType<FieldProps>;
  export const Textarea: ComponentType<FieldProps>;
  export const Spinner: ComponentType<BaseProps & { size?: Size }>;
  export const Skeleton: ComponentType<BaseProps & { loading?: boolean }>;
  export const Separator: ComponentType<BaseProps>;
  export const VisuallyHidden: ComponentType<BaseProps>;
  export const Alert: {
    Root: ComponentType<BaseProps & { status?: "info" | "success" | "warning" | "error" | "neutral"; size?: Size }>;
    Indicator: ComponentType<BaseProps>;
    Content: ComponentType<BaseProps>;
    Title: ComponentType<BaseProps>;
    Description: ComponentType<BaseProps>;
  };
  export const NativeSelect: {
    Root: ComponentType<BaseProps & { size?: Size; disabled?: boolean }>;
    Field: ComponentType<FieldProps>;
    Indicator: ComponentType<BaseProps>;
  };
  export const Table: {
    Root: ComponentType<
      BaseProps & {
        size?: Size;
        variant?: "line" | "outline";
        interactive?: boolean;
        stickyHeader?: boolean;
        striped?: boolean;
      }
    >;
    Header: ComponentType<BaseProps>;
    Body: ComponentType<BaseProps>;
    Row: ComponentType<BaseProps>;
    ColumnHeader: ComponentType<BaseProps & { scope?: "col" | "row" }>;
    Cell: ComponentType<BaseProps & { colSpan?: number }>;
    Caption: ComponentType<BaseProps>;
  };
  export const Dialog: {
    Root: ComponentType<{
      open?: boolean;
      onOpenChange?: (details: { open: boolean }) => void;
      children?: ReactNode;
      size?: Size;
      role?: "dialog" | "alertdialog";
      lazyMount?: boolean;
      unmountOnExit?: boolean;
    }>;
    Backdrop: ComponentType<BaseProps>;
    Positioner: ComponentType<BaseProps>;
    Content: ComponentType<BaseProps>;
    Header: ComponentType<BaseProps>;
    Title: ComponentType<BaseProps>;
    Body: ComponentType<BaseProps>;
    Footer: ComponentType<BaseProps>;
    CloseTrigger: ComponentType<BaseProps>;
  };
  export const Portal: ComponentType<{ children?: ReactNode }>;
}
