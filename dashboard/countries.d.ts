/** Made by vite.config.ts. */
declare module 'virtual:countries' {
  /** ISO 3166-1 code, empty where there is none, and the outline as an SVG path. */
  export const shapes: readonly { readonly code: string; readonly path: string }[]
}
