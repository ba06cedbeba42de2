/** How a song is mixed, kept in the browser over a reload. */

import { AS_RECORDED, PLAIN, type Master, type Strip } from "../audio/mix";
import type { Region } from "../audio/region";
import * as kept from "../kept";
import type { Stem } from "../net/types";

export interface Mix {
  strips: Record<string, Strip>;
  master: Master;
  region: Region | null;
  looping: boolean;
}

/** As it was left, with what is new since then as recorded. */
export function restored(id: string, stems: readonly Stem[]): Mix {
  const old = kept.mixOf<Mix>(id);
  return {
    strips: Object.fromEntries(stems.map((stem) => [stem.name, { ...PLAIN, ...old?.strips?.[stem.name] }])),
    master: { ...AS_RECORDED, ...old?.master },
    region: old?.region ?? null,
    looping: old?.looping ?? false,
  };
}
