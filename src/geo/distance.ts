/**
 * Distances over the Earth's surface, taken as a sphere: within 0.5 % of those over the ellipsoid, which is more exact
 * than any GeoIP database. Used to rank sites and by `explain`.
 */

/** Mean radius (IUGG), kilometres. */
export const EARTH_RADIUS_KM = 6371.0088

const RADIANS = Math.PI / 180

/** The great-circle distance of two points in kilometres, by the haversine formula; coordinates in degrees. */
export function distanceKm(latitudeA: number, longitudeA: number, latitudeB: number, longitudeB: number): number {
  const sinLatitude = Math.sin(((latitudeB - latitudeA) * RADIANS) / 2)
  const sinLongitude = Math.sin(((longitudeB - longitudeA) * RADIANS) / 2)
  const haversine =
    sinLatitude * sinLatitude +
    Math.cos(latitudeA * RADIANS) * Math.cos(latitudeB * RADIANS) * sinLongitude * sinLongitude
  return 2 * EARTH_RADIUS_KM * Math.asin(Math.min(1, Math.sqrt(haversine)))
}
