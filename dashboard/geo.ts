/** What maps are drawn with. Loaded when the first map is: half of the page is this. */
import { geoDistance, geoGraticule10, geoPath } from 'd3-geo'
import { shapes } from 'virtual:countries'
import { projection } from './projection.ts'

const path = geoPath(projection).digits(1)

export { shapes }
/** The outline of the world, and its meridians and parallels, as SVG paths. */
export const sphere = path({ type: 'Sphere' }) ?? ''
export const graticule = path(geoGraticule10()) ?? ''

/** A point on the earth, in degrees. */
export interface Point {
  readonly latitude: number
  readonly longitude: number
}

const lonLat = ({ latitude, longitude }: Point): [number, number] => [longitude, latitude]

/** Where a point is in the drawing. */
export function place(point: Point): readonly [x: number, y: number] {
  return projection(lonLat(point)) ?? [0, 0]
}

/** The great circle between two points as an SVG path. */
export const greatCircle = (from: Point, to: Point): string =>
  path({ type: 'LineString', coordinates: [lonLat(from), lonLat(to)] }) ?? ''

/** How far apart two points are, as an angle in radians. */
export const angle = (from: Point, to: Point): number => geoDistance(lonLat(from), lonLat(to))
