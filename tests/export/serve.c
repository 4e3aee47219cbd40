/* Runs a signature of a SavedModel by TensorFlow's C API alone, whose loader is that of TensorFlow Serving.
 *
 *     serve FOLDER INPUT OUTPUT FRAMES FORECAST
 *
 * INPUT and OUTPUT are tensors of the graph, such as `serving_default_frames:0`. The folder has their names in a
 * protobuf message, which plain C cannot read: the caller looks them up. FRAMES is a file of clips as they lie in
 * memory, without a header; the batch is how many of them there are. FORECAST is written likewise. */

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tensorflow/c/c_api.h"

enum { RANK = 5 }; /* batch, time, height, width, channels */

static _Noreturn void fail(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fputs("serve: ", stderr);
  vfprintf(stderr, format, arguments);
  fputs("\n", stderr);
  exit(EXIT_FAILURE);
}

static void check(const TF_Status *status) {
  const char *message = TF_Message(status);
  if (TF_GetCode(status) != TF_OK) fail("%.*s", (int)strcspn(message, "\n"), message);
}

static FILE *open_file(const char *path, const char *mode) {
  FILE *file = fopen(path, mode);
  if (file == NULL) fail("%s: %s", path, strerror(errno));
  return file;
}

/* TensorFlow itself takes any index for the type of an output. */
static TF_Output find_tensor(TF_Graph *graph, const char *tensor) {
  char name[256], rest;
  TF_Output found = {NULL, 0};
  if (sscanf(tensor, "%255[^:]:%d%c", name, &found.index, &rest) == 2)
    found.oper = TF_GraphOperationByName(graph, name);
  if (found.oper == NULL || found.index < 0 || found.index >= TF_OperationNumOutputs(found.oper))
    fail("the graph has no tensor %s", tensor);
  TF_DataType type = TF_OperationOutputType(found);
  if (type != TF_FLOAT && type != TF_UINT8) fail("%s must be float32 or uint8", tensor);
  return found;
}

static TF_Tensor *read_frames(const char *path, TF_Graph *graph, TF_Output input, TF_Status *status) {
  int64_t shape[RANK];
  int rank = TF_GraphGetTensorNumDims(graph, input, status);
  check(status);
  if (rank != RANK) fail("the frames must have %d axes, and have %d", RANK, rank);
  TF_GraphGetTensorShape(graph, input, shape, RANK, status);
  check(status);
  if (shape[0] != -1) fail("the batch must be free, and is %lld", (long long)shape[0]);
  size_t clip = TF_DataTypeSize(TF_OperationOutputType(input));
  for (int axis = 1; axis < RANK; ++axis) {
    if (shape[axis] < 1) fail("axis %d of the frames has no length", axis);
    clip *= (size_t)shape[axis];
  }

  FILE *file = open_file(path, "rb");
  fseek(file, 0, SEEK_END);
  long size = ftell(file);
  rewind(file);
  if (size <= 0 || (size_t)size % clip != 0) fail("%s must hold whole clips of %zu bytes", path, clip);
  shape[0] = size / (long)clip;
  TF_Tensor *frames = TF_AllocateTensor(TF_OperationOutputType(input), shape, RANK, (size_t)size);
  if (fread(TF_TensorData(frames), 1, (size_t)size, file) != (size_t)size) fail("%s cannot be read", path);
  fclose(file);
  return frames;
}

static void write_forecast(const char *path, const TF_Tensor *forecast) {
  FILE *file = open_file(path, "wb");
  size_t size = TF_TensorByteSize(forecast);
  size_t written = fwrite(TF_TensorData(forecast), 1, size, file);
  if (fclose(file) != 0 || written != size) fail("%s cannot be written", path);
}

static double mean(const TF_Tensor *tensor) {
  const void *data = TF_TensorData(tensor);
  int64_t count = TF_TensorElementCount(tensor);
  double sum = 0;
  for (int64_t i = 0; i < count; ++i)
    sum += TF_TensorType(tensor) == TF_FLOAT ? ((const float *)data)[i] : ((const uint8_t *)data)[i];
  return sum / (double)count;
}

int main(int count, char **arguments) {
  if (count != 6) fail("usage: serve FOLDER INPUT OUTPUT FRAMES FORECAST");
  const char *folder = arguments[1], *tags[] = {"serve"};
  TF_Status *status = TF_NewStatus();
  TF_Graph *graph = TF_NewGraph();
  TF_SessionOptions *options = TF_NewSessionOptions();
  TF_Session *session = TF_LoadSessionFromSavedModel(options, NULL, folder, tags, 1, graph, NULL, status);
  check(status);

  TF_Output input = find_tensor(graph, arguments[2]), output = find_tensor(graph, arguments[3]);
  TF_Tensor *frames = read_frames(arguments[4], graph, input, status), *forecast = NULL;
  TF_SessionRun(session, NULL, &input, &frames, 1, &output, &forecast, 1, NULL, 0, NULL, status);
  check(status);

  if (TF_NumDims(forecast) != RANK) fail("the forecast has %d axes", TF_NumDims(forecast));
  if (TF_TensorType(forecast) != TF_TensorType(frames)) fail("the forecast is of another type than the frames");
  write_forecast(arguments[5], forecast);
  printf("TensorFlow %s: %s", TF_Version(), TF_TensorType(forecast) == TF_FLOAT ? "float32" : "uint8");
  for (int axis = 0; axis < RANK; ++axis) printf("%s%lld", axis ? "x" : " ", (long long)TF_Dim(forecast, axis));
  printf(", mean %.6f\n", mean(forecast));

  TF_DeleteTensor(forecast);
  TF_DeleteTensor(frames);
  TF_CloseSession(session, status);
  TF_DeleteSession(session, status);
  TF_DeleteSessionOptions(options);
  TF_DeleteGraph(graph);
  TF_DeleteStatus(status);
  return EXIT_SUCCESS;
}
