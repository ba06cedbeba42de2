/** What is shown in the page's main part. */
export interface View {
  readonly element: HTMLElement;
  readonly heading: string; // for the window's title
  close(): void; // ends what it does when it is not shown any more
}
