// What Airflow's own page has loaded and lends to this one; nothing else is fetched from anywhere.

export const React = globalThis.React;
export const C = globalThis.ChakraUI;
export const { Link: RouterLink, useLocation, useNavigate } = globalThis.ReactRouterDOM;
export const { createElement: h, useEffect, useMemo, useRef, useState } = React;

export const ROOT = "/plugin/dataml";
