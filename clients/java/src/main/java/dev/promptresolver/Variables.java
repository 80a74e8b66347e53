package dev.promptresolver;

import com.google.protobuf.ListValue;
import com.google.protobuf.NullValue;
import com.google.protobuf.Struct;
import com.google.protobuf.Value;
import java.util.Map;

/** The values of a template's variables, as requests carry them. */
public final class Variables {
  private static final long LARGEST_INTEGER = 1L << 53;

  private Variables() {}

  /**
   * Returns variables by their names.
   *
   * @param variables strings, numbers, booleans, nulls, and lists and maps of these
   * @throws IllegalArgumentException for a value that is none of them, and for an integer beyond
   *     2^53, which would arrive as another one: send it as a string
   */
  public static Struct of(Map<String, ?> variables) {
    return struct(variables);
  }

  private static Struct struct(Map<?, ?> values) {
    var struct = Struct.newBuilder();
    values.forEach((name, value) -> struct.putFields((String) name, value(value)));
    return struct.build();
  }

  private static Value value(Object value) {
    var made = Value.newBuilder();
    if (value == null) {
      made.setNullValue(NullValue.NULL_VALUE);
    } else if (value instanceof CharSequence text) {
      made.setStringValue(text.toString());
    } else if (value instanceof Boolean flag) {
      made.setBoolValue(flag);
    } else if (value instanceof Number number) {
      made.setNumberValue(number(number));
    } else if (value instanceof Map<?, ?> map) {
      made.setStructValue(struct(map));
    } else if (value instanceof Iterable<?> list) {
      var values = ListValue.newBuilder();
      list.forEach(each -> values.addValues(value(each)));
      made.setListValue(values);
    } else {
      throw new IllegalArgumentException(
          "expected a string, number, boolean, list or map, got a " + value.getClass().getName());
    }
    return made.build();
  }

  private static double number(Number number) {
    if (number instanceof Long whole && (whole > LARGEST_INTEGER || whole < -LARGEST_INTEGER)) {
      throw new IllegalArgumentException(
          "expected an integer of at most 2^53; send larger ones as strings");
    }
    return number.doubleValue();
  }
}
