/** What is shown in the page's main part. */
export interface View {
  readonly element: HTMLElement;
  readonly heading: string; // for the window's title; it may change as songs do
  close(): void; // ends what it does when it is not shown any more
}
