/** The projection of all maps of the page: at build time of the countries, in the browser of sites, clients and arcs. */
import { geoNaturalEarth1 } from 'd3-geo'
import { HEIGHT, WIDTH } from './size.ts'

/** [longitude, latitude] in degrees → [x, y]. */
export const projection = geoNaturalEarth1().fitExtent(
  [
    [2, 2],
    [WIDTH - 2, HEIGHT - 2],
  ],
  { type: 'Sphere' },
)
