// A workflow that makes one picture of a colour.
export const picture = (color) => ({
  1: { class_type: "EmptyImage", inputs: { width: 32, height: 32, batch_size: 1, color } },
  9: { class_type: "SaveImage", inputs: { images: ["1", 0], filename_prefix: "made" } },
});
