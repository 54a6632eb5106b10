declare module '*.svg' {
  const url: string;
  export default url;
}

declare module '*.css' {}

declare module 'virtual:emoji' {
  const lines: string;
  export default lines;
}

interface ImportMeta {
  readonly env: { readonly PROD: boolean };
}
