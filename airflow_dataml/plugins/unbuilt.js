// Stands in for the page where its bundle was not built: says how to build it. The API and every operator work without.

const { createElement: h } = globalThis.React;
const { Alert, Box, Code, Heading, Text } = globalThis.ChakraUI;

function DataML() {
  return h(Box, { p: 4, "data-testid": "dataml" },
    h(Heading, { as: "h1", size: "xl", mb: 3 }, "DataML"),
    h(Alert.Root, { status: "warning", mb: 3 }, h(Alert.Indicator), h(Alert.Title, null, "The page was not built in this installation.")),
    h(Text, { mb: 2 }, "Operators, the API and the command line work without it. In the source checkout that Airflow runs from, build it and restart the API server:"),
    h(Code, { userSelect: "all", px: 2, py: 1 }, "dev/build_page"),
    h(Text, { mt: 2 }, "A wheel holds it already."));
}

globalThis.DataML = DataML;
