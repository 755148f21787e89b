/**
 * The World: everything an answer depends on but health. Immutable, replaced whole; a plain object of typed arrays over
 * SharedArrayBuffers and small tables, so that posting it to a thread copies next to nothing.
 */
import type { ClientMap } from '../policy/map.ts'
import type { SteeredService } from '../policy/service.ts'
import type { Copies } from '../zone/copies.ts'
import type { Image } from '../zone/image.ts'

/** Everything that answers depend on, except health. */
export interface World {
  /** One more with every World that is published. */
  readonly generation: number
  readonly image: Image
  readonly maps: readonly ClientMap[]
  readonly services: readonly SteeredService[]
  /** The zones as secondaries take them. */
  readonly copies: Copies
}
