import { expect, test } from 'vitest'
import { distanceKm, EARTH_RADIUS_KM } from '../../src/geo/distance.ts'

// as published for these airports and cities; the sphere is within 0.5 % of the ellipsoid
test.each([
  ['Frankfurt – Washington Dulles', 50.0333, 8.5706, 38.9475, -77.46, 6553],
  ['London Heathrow – New York JFK', 51.4775, -0.4614, 40.6398, -73.7789, 5555],
  ['Singapore – Jakarta', 1.3592, 103.9894, -6.1256, 106.6559, 883],
  ['Sydney – Santiago de Chile', -33.9461, 151.1772, -33.393, -70.7858, 11_358],
  ['Anchorage – Tokyo Narita, over the date line', 61.1744, -149.9964, 35.7653, 140.3856, 5516],
])('%s', (_, latitudeA, longitudeA, latitudeB, longitudeB, km) => {
  const distance = distanceKm(latitudeA, longitudeA, latitudeB, longitudeB)
  expect(Math.abs(distance - km)).toBeLessThan(km * 0.005)
  expect(distanceKm(latitudeB, longitudeB, latitudeA, longitudeA)).toBeCloseTo(distance, 9)
})

test('poles, antipodes, nothing', () => {
  expect(distanceKm(90, 0, -90, 0)).toBeCloseTo(Math.PI * EARTH_RADIUS_KM, 6)
  expect(distanceKm(10, 20, -10, -160)).toBeCloseTo(Math.PI * EARTH_RADIUS_KM, 2)
  expect(distanceKm(90, 0, 90, 123)).toBeCloseTo(0, 6)
  expect(distanceKm(48.86, 2.35, 48.86, 2.35)).toBe(0)
  expect(distanceKm(0, 179.5, 0, -179.5)).toBeCloseTo(distanceKm(0, 0, 0, 1), 6)
})
