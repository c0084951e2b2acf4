package icon

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"image/png"
	"math"
	"runtime"
)

// The colours. What a picture says, its shape says without them.
var (
	teal  = color.NRGBA{0x0b, 0x6e, 0x6e, 0xff}
	amber = color.NRGBA{0xe0, 0x8a, 0x00, 0xff}
	grey  = color.NRGBA{0x6b, 0x6b, 0x6b, 0xff}
	white = color.NRGBA{0xff, 0xff, 0xff, 0xff}
)

// sides are those of the pictures in an .ico, in pixels.
func sides() []int { return []int{16, 24, 32, 48} }

const pngSide = 48 // desktops make it smaller

// pictureFile is a picture as the tray of this system takes it.
func pictureFile(p picture) []byte {
	if runtime.GOOS == "windows" {
		return ico(p)
	}
	return pngFile(p)
}

func pngFile(p picture) []byte {
	var b bytes.Buffer
	_ = png.Encode(&b, draw(p, pngSide)) // a Buffer never fails
	return b.Bytes()
}

// draw draws a picture in a square: a disc with a tick, the same with a dot at its lower right,
// or one with a padlock. Each pixel is the mean of sixteen points.
func draw(p picture, side int) *image.NRGBA {
	const fine = 4
	img := image.NewNRGBA(image.Rect(0, 0, side, side))
	for y := range side {
		for x := range side {
			var r, g, b, a int
			for n := range fine * fine {
				u := (float64(x) + (float64(n%fine)+0.5)/fine) / float64(side)
				v := (float64(y) + (float64(n/fine)+0.5)/fine) / float64(side)
				c := at(p, u, v)
				r, g, b, a = r+int(c.R)*int(c.A), g+int(c.G)*int(c.A), b+int(c.B)*int(c.A), a+int(c.A)
			}
			if a > 0 {
				img.SetNRGBA(x, y, color.NRGBA{uint8(r / a), uint8(g / a), uint8(b / a), uint8(a / (fine * fine))})
			}
		}
	}
	return img
}

// at is the colour of a point; both coordinates are from 0 to 1, downwards.
func at(p picture, u, v float64) color.NRGBA {
	in := func(cu, cv, radius float64) bool { return math.Hypot(u-cu, v-cv) <= radius }
	if p == attention {
		if in(0.76, 0.76, 0.19) {
			return amber
		}
		if in(0.76, 0.76, 0.25) {
			return white
		}
	}
	if !in(0.5, 0.5, 0.48) {
		return color.NRGBA{}
	}
	if p == padlock {
		body := math.Abs(u-0.5) <= 0.21 && v >= 0.46 && v <= 0.76
		shackle := math.Hypot(u-0.5, min(v-0.40, 0)) <= 0.17 && math.Hypot(u-0.5, min(v-0.40, 0)) >= 0.10 && v < 0.47
		if body || shackle {
			return white
		}
		return grey
	}
	pen, bend := point{u, v}, point{0.43, 0.69}
	if pen.near(point{0.26, 0.52}, bend) || pen.near(bend, point{0.74, 0.34}) {
		return white
	}
	return teal
}

type point struct{ u, v float64 }

// near tells whether a point is on the stroke of a pen from a to b.
func (p point) near(a, b point) bool {
	const half = 0.065 // the pen's width
	du, dv := b.u-a.u, b.v-a.v
	t := max(0, min(1, ((p.u-a.u)*du+(p.v-a.v)*dv)/(du*du+dv*dv)))
	return math.Hypot(p.u-a.u-t*du, p.v-a.v-t*dv) <= half
}

// ico is a picture in several sizes as Windows takes it: uncompressed, 32 bits a pixel, from
// the bottom up, each with a mask that nobody looks at.
func ico(p picture) []byte {
	var dir, data bytes.Buffer
	put := func(b *bytes.Buffer, values ...any) {
		for _, v := range values {
			_ = binary.Write(b, binary.LittleEndian, v) // a Buffer never fails
		}
	}
	put(&dir, uint16(0), uint16(1), uint16(len(sides())))
	for _, side := range sides() {
		mask := (side + 31) / 32 * 4 * side
		size := 40 + 4*side*side + mask
		offset := 6 + 16*len(sides()) + data.Len()
		put(&dir, uint8(side), uint8(side), uint8(0), uint8(0), uint16(1), uint16(32), uint32(size), uint32(offset))
		put(&data, uint32(40), int32(side), int32(2*side), uint16(1), uint16(32), uint32(0), uint32(4*side*side), [4]uint32{})
		img := draw(p, side)
		for y := side - 1; y >= 0; y-- {
			for x := range side {
				c := img.NRGBAAt(x, y)
				data.Write([]byte{c.B, c.G, c.R, c.A})
			}
		}
		data.Write(make([]byte, mask))
	}
	return append(dir.Bytes(), data.Bytes()...)
}
